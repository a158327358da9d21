-- Find the newest touchpoints that share an identifier with each search.
SELECT search.number, match.touchpoint_id, match.received_at, match.kind,
       search.organization_id
FROM unnest(
    %(numbers)s::integer[], %(organizations)s::bigint[], %(apps)s::bigint[], %(keys)s::uuid[],
    %(firsts)s::timestamptz[], %(lasts)s::timestamptz[], %(limits)s::integer[]
) AS search (number, organization_id, app_id, key, first, last, most)
CROSS JOIN LATERAL (  -- each by its key, newest first, however many touchpoints there are
    SELECT touchpoint_id, received_at, kind FROM touchpoint_key
    WHERE organization_id = search.organization_id AND app_id = search.app_id
      AND key = search.key AND occurred_at BETWEEN search.first AND search.last
    ORDER BY occurred_at DESC LIMIT search.most
) AS match
