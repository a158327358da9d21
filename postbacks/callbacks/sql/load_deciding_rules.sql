-- Load the rules that decide some organizations' events, up to so many bytes of definitions.
-- An organization's rules come together: beyond the bytes, the definitions of the next are null.
WITH deciding AS (
    SELECT r.organization_id, r.id AS rule_id, v.number, r.version AS current_version, r.status,
        v.definition::text AS definition
    FROM callback_rule AS r
    JOIN callback_rule_version AS v
        ON v.organization_id = r.organization_id AND v.rule_id = r.id AND v.number = r.version
    WHERE r.organization_id = ANY(%(organizations)s::bigint[])
        AND r.status = ANY(%(statuses)s::text[])
),
summed AS (
    SELECT deciding.*, sum(octet_length(definition)) OVER (
        ORDER BY organization_id GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS bytes_before
    FROM deciding
)
SELECT organization_id, rule_id, number, current_version, status,
    CASE WHEN coalesce(bytes_before, 0) <= %(most)s THEN definition END AS definition
FROM summed
ORDER BY organization_id, rule_id
