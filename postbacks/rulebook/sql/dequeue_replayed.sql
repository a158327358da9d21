-- Take what a cancelled replay has queued, and no worker has begun, from the queue.
WITH chosen AS MATERIALIZED (
    SELECT replayed.* FROM replayed_postback AS replayed
    LEFT JOIN LATERAL (  -- one by one, by an index: no plan reads the whole log
        -- An attempt whose worker was killed: it may have been sent.
        SELECT number FROM delivery_attempt AS attempt
        WHERE attempt.organization_id = replayed.organization_id
          AND attempt.postback_id = replayed.postback_id
          AND attempt.event_received_at = replayed.event_received_at
          -- `within_days` narrows these bounds.
          AND attempt.event_received_at BETWEEN '-infinity' AND 'infinity'
          AND attempt.number > replayed.attempts_before
        LIMIT 1
    ) AS begun ON true
    WHERE replayed.id = ANY(%(ids)s) AND begun.number IS NULL
), dequeued AS (
    DELETE FROM due_postback AS due USING chosen
    WHERE due.organization_id = chosen.organization_id AND due.postback_id = chosen.postback_id
      AND due.kind = :'AttemptKind.REPLAY' AND due.claim_id IS NULL AND due.tries = 0
    RETURNING due.postback_id
), released AS (
    DELETE FROM held_postback AS held USING chosen
    WHERE held.organization_id = chosen.organization_id AND held.postback_id = chosen.postback_id
      AND held.kind = :'AttemptKind.REPLAY' AND held.tries = 0
    RETURNING held.postback_id
)
DELETE FROM replayed_postback AS replayed
USING (SELECT * FROM dequeued UNION SELECT * FROM released) AS taken
WHERE replayed.id = ANY(%(ids)s) AND replayed.postback_id = taken.postback_id
RETURNING replayed.organization_id, replayed.postback_id, replayed.event_received_at,
          replayed.status_before, replayed.reason_before AS reason, replayed.state
