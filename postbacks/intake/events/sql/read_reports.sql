-- Read reported events of an organization that has forgotten no device; else none of them, for
-- each has to come with its digests.
SELECT nextval('event_key_id_seq') AS id, row.*, NULL::uuid[] AS forgotten
FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
    request bigint, app_id bigint, source text,
    event_id uuid, event_name text, event_time timestamptz, bundle_id text,
    platform text, device text, customer_user_id text, revenue numeric, currency text,
    fields jsonb, params jsonb
)
WHERE NOT EXISTS (SELECT FROM tombstone_key WHERE organization_id = %(organization)s)
