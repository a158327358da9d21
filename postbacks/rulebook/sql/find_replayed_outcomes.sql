-- Find out what replayed postbacks wait for, or how they ended.
SELECT replayed.id, replayed.part_id, replayed.organization_id, replayed.state,
       replayed.attempts_before, replayed.postback_id, postback.status,
       postback.reason, postback.attempts_made, due.tries,
       due.due_at, due.claim_id IS NOT NULL AS is_claimed, held.postback_id IS NOT NULL AS is_held,
       last_try.outcome
FROM replayed_postback AS replayed
LEFT JOIN LATERAL (
    SELECT * FROM postback
    WHERE postback.organization_id = replayed.organization_id
      AND postback.id = replayed.postback_id
      AND postback.event_received_at = replayed.event_received_at
      -- `within_days` narrows these bounds.
      AND postback.event_received_at BETWEEN '-infinity' AND 'infinity'
    LIMIT 1
) AS postback ON true
LEFT JOIN due_postback AS due
  ON due.organization_id = replayed.organization_id AND due.postback_id = replayed.postback_id
LEFT JOIN held_postback AS held
  ON held.organization_id = replayed.organization_id AND held.postback_id = replayed.postback_id
LEFT JOIN LATERAL (
    SELECT outcome FROM delivery_attempt AS attempt
    WHERE attempt.organization_id = replayed.organization_id
      AND attempt.postback_id = replayed.postback_id
      AND attempt.event_received_at = replayed.event_received_at
      AND attempt.event_received_at BETWEEN '-infinity' AND 'infinity'
      AND attempt.number = postback.attempts_made
    ORDER BY attempt.id DESC LIMIT 1
) AS last_try ON true
WHERE replayed.id = ANY(%(ids)s)
