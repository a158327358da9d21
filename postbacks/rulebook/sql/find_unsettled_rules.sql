-- Find rules that hold postbacks for a reason that their status no longer gives.
WITH RECURSIVE holding (rule_id, reason) AS (
    -- One probe of the index for each rule and reason, however many postbacks they hold.
    (SELECT rule_id, reason FROM held_postback ORDER BY rule_id, reason LIMIT 1)
    UNION ALL
    SELECT next.rule_id, next.reason
    FROM holding CROSS JOIN LATERAL (
        SELECT rule_id, reason FROM held_postback
        WHERE (held_postback.rule_id, held_postback.reason) > (holding.rule_id, holding.reason)
        ORDER BY rule_id, reason LIMIT 1
    ) AS next
)
SELECT rule.organization_id, rule.id AS rule_id, rule.status,
       rule.status = :'RuleStatus.ARCHIVED'
           OR coalesce(partner.status = :'Lifecycle.ARCHIVED', false) AS is_archived
FROM holding
JOIN callback_rule AS rule ON rule.id = holding.rule_id
LEFT JOIN partner
  ON partner.organization_id = rule.organization_id AND partner.id = rule.partner_id
WHERE rule.status = :'RuleStatus.ARCHIVED' OR partner.status = :'Lifecycle.ARCHIVED'
   OR (holding.reason = :'HeldReason.RULE_OFF'
       AND rule.status IN (:'RuleStatus.ACTIVE', :'RuleStatus.SUSPENDED')
       AND NOT EXISTS (
           SELECT FROM postback_job AS job
           WHERE job.organization_id = rule.organization_id AND job.rule_id = rule.id
             AND job.reason = holding.reason AND job.finished_at IS NULL
             AND rule.status = :'RuleStatus.ACTIVE'
       ))
LIMIT %(limit)s
