-- Find the events that a partner's list names: by transaction, by the SDK's ID, or by their device.
-- Each part has an index of its own; `key` leads back to what was asked for.
SELECT 'transaction' AS kind, fields ->> 'transaction_id' AS key,
       id, event_id, event_name, received_at, revenue, currency
FROM event
WHERE organization_id = %(organization)s AND fields ->> 'transaction_id' = ANY(%(keys)s::text[])
UNION ALL
SELECT 'event', event_id::text, id, event_id, event_name, received_at, revenue, currency
FROM event
WHERE organization_id = %(organization)s AND event_id = ANY(%(uuids)s::uuid[])
UNION ALL
SELECT 'click', device.key, event.id, event.event_id, event.event_name, event.received_at,
       event.revenue, event.currency
FROM unnest(%(apps)s::bigint[], %(devices)s::text[], %(of_keys)s::text[]) AS device (app_id, name, key)
JOIN event ON event.organization_id = %(organization)s AND event.app_id = device.app_id
    AND event.device = device.name
