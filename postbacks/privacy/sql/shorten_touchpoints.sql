-- Shorten touchpoints' addresses, and delete them from identifiers and parameters.
WITH row AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
        AS row (id bigint, address text, shortened text, key uuid, organization bigint, app bigint)
), deleted AS (
    DELETE FROM touchpoint_key USING row
    WHERE touchpoint_key.organization_id = row.organization AND touchpoint_key.app_id = row.app
      AND touchpoint_key.key = row.key AND touchpoint_key.touchpoint_id = row.id
)
UPDATE touchpoint SET ip_address = row.shortened,
    names = coalesce((SELECT jsonb_agg(name) FROM jsonb_array_elements_text(names) AS name
                      WHERE NOT starts_with(name, 'ip:')), '[]'),
    params = coalesce((SELECT jsonb_object_agg(key, value) FROM jsonb_each(params)
                       WHERE value <> to_jsonb(row.address)), '{}')
FROM row
WHERE touchpoint.id = row.id AND organization_id = row.organization
  AND received_at BETWEEN %(first)s AND %(last)s
