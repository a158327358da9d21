-- Find how long the oldest due postback of an active rule waits, lane by lane.
SELECT now() - min(oldest.due_at)
FROM (:find_queues) AS queue CROSS JOIN LATERAL (
    SELECT due_at FROM due_postback AS due
    WHERE NOT paced AND due.organization_id = queue.organization_id AND due.host = queue.host
      AND queue_class(due.kind, due.tries) = queue.class
      AND EXISTS (
          SELECT FROM callback_rule AS rule WHERE rule.organization_id = due.organization_id
            AND rule.id = due.rule_id AND rule.status = :'RuleStatus.ACTIVE'
      )
    ORDER BY due_at LIMIT 1
) AS oldest
WHERE NOT EXISTS (
    SELECT FROM circuit_breaker AS breaker
    WHERE breaker.organization_id = queue.organization_id AND breaker.host = queue.host
      AND breaker.state <> :'BreakerState.CLOSED'
)
HAVING min(oldest.due_at) IS NOT NULL
