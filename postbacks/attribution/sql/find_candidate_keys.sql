-- Find the newest touchpoints that share an identifier with each search.
SELECT search.number, match.touchpoint_id, match.received_at, match.kind,
       search.organization_id, searched.key
FROM jsonb_to_recordset(%(searches)s::jsonb) AS search (
    number integer, organization_id bigint, app_id bigint, keys uuid[],
    first timestamptz, last timestamptz, most integer
)
CROSS JOIN unnest(search.keys) AS searched (key)
CROSS JOIN LATERAL (  -- each by its key, newest first, however many touchpoints there are
    SELECT touchpoint_id, received_at, kind FROM touchpoint_key
    WHERE organization_id = search.organization_id AND app_id = search.app_id
      AND key = searched.key AND occurred_at BETWEEN search.first AND search.last
    ORDER BY occurred_at DESC LIMIT search.most
) AS match
