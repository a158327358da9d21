-- Count the rows of a device in each table, before they are emptied.
WITH device_events AS MATERIALIZED (
    SELECT event_id, received_at FROM event
    WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = ANY(%(devices)s)
), postbacks AS MATERIALIZED (
    SELECT id, event_received_at, status FROM postback
    WHERE organization_id = %(organization)s
      AND sdk_event_id = ANY(ARRAY(SELECT event_id FROM device_events))
      AND event_received_at >= (SELECT min(received_at) FROM device_events)
)
SELECT jsonb_build_object('install',
    (SELECT count(*) FROM install WHERE organization_id = %(organization)s
        AND app_id = %(app)s AND device = ANY(%(devices)s)), 'touchpoint',
    (SELECT count(*) FROM touchpoint WHERE organization_id = %(organization)s
        AND app_id = %(app)s AND names <> '[]' AND (public_id = ANY(%(touches)s::uuid[])
        OR id IN (SELECT touchpoint_id FROM touchpoint_key
            WHERE organization_id = %(organization)s AND app_id = %(app)s
              AND key = ANY(%(keys)s::uuid[])))), 'event',
    (SELECT count(*) FROM device_events), 'postback',
    (SELECT count(*) FROM postbacks), 'skipped',
    (SELECT count(*) FROM postbacks WHERE status = :'PostbackStatus.PENDING'), 'delivery_attempt',
    (SELECT count(*) FROM delivery_attempt WHERE organization_id = %(organization)s
        AND postback_id = ANY(ARRAY(SELECT id FROM postbacks)))) AS counts
