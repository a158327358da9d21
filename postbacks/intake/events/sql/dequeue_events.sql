-- Take so many of the oldest undecided events of each named organization out of the queue.
WITH dequeued AS (
    SELECT share.organization_id, oldest.id
    FROM unnest(%(organizations)s::bigint[], %(counts)s::integer[])
        AS share (organization_id, events)
    CROSS JOIN LATERAL (
        SELECT id FROM undecided_event AS queued
        WHERE queued.organization_id = share.organization_id
        ORDER BY queued.organization_id, queued.id LIMIT share.events
        FOR UPDATE SKIP LOCKED
    ) AS oldest
), cleared AS (
    DELETE FROM decision_failure USING dequeued WHERE decision_failure.id = dequeued.id
)
DELETE FROM undecided_event USING dequeued
WHERE undecided_event.organization_id = dequeued.organization_id
  AND undecided_event.id = dequeued.id
RETURNING undecided_event.id, undecided_event.organization_id, received_at
