-- Read an organization's newest events that its ring lacks, with the ids of their devices
SELECT event.id, event.received_at AS at, event.event_name, event.app_id, app.name AS app,
       event.device, event.revenue, event.currency,
       (SELECT coalesce(jsonb_object_agg(key, value), '{}')::text FROM jsonb_each(event.fields)
        WHERE key = ANY(%(id_kinds)s::text[])) AS ids,
       event.customer_user_id
FROM event
JOIN app ON app.organization_id = event.organization_id AND app.id = event.app_id
WHERE event.organization_id = %(organization)s AND event.received_at > %(since)s
  AND NOT event.id = ANY(%(known)s::bigint[])
ORDER BY event.received_at DESC, event.id DESC LIMIT %(most)s
