-- Claim due postbacks of rules without limits, the longest due first, a fair share of each lane.
WITH candidates AS (
    SELECT postback_id, organization_id, host, due_at FROM due_postback
    WHERE due_at <= now() AND NOT paced AND (organization_id, host) NOT IN (
        SELECT * FROM unnest(%(busy_organizations)s::bigint[], %(busy_hosts)s::text[])
    )
    ORDER BY due_at LIMIT 4 * %(limit)s FOR UPDATE SKIP LOCKED
), ranked AS (
    SELECT postback_id, due_at,
           row_number() OVER (PARTITION BY organization_id, host ORDER BY due_at) AS rank
    FROM candidates
), chosen AS (
    SELECT postback_id FROM ranked WHERE rank <= %(per_host)s ORDER BY due_at LIMIT %(limit)s
)
UPDATE due_postback SET due_at = now() + make_interval(secs => %(lease)s), claim_id = %(claim)s
FROM chosen
WHERE due_postback.postback_id = chosen.postback_id
RETURNING due_postback.postback_id, event_received_at, host, kind, tries, paced,
          pinned_version
