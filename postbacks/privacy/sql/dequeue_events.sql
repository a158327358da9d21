-- Dequeue a device's undecided events, and count them in the figures as if they were decided.
WITH queued AS (
    DELETE FROM undecided_event
    WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)
    RETURNING id
), failed AS (
    DELETE FROM decision_failure
    WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)
    RETURNING id
)
INSERT INTO figure_change (
    organization_id, at, kind, app_ref, event_name, code, count, amount
)
SELECT organization_id, minute_of(received_at), :'FigureKind.EVENT', app_id, event_name,
       CASE WHEN revenue IS NULL OR source = :'EventSource.SYSTEM' THEN '' ELSE currency END,
       count(*), sum(CASE WHEN source <> :'EventSource.SYSTEM' THEN revenue END)
FROM event
WHERE organization_id = %(organization)s AND received_at BETWEEN %(first)s AND %(last)s
  AND id IN (SELECT id FROM queued UNION SELECT id FROM failed)
GROUP BY 1, 2, 4, 5, 6
