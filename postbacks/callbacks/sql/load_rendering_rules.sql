-- Load what postbacks are rendered by: the current version of their rules, or a pinned one; of the
-- version that decided one, whose partner it was. Small definitions come first, and the one that
-- goes beyond `most` bytes together with those before is the last.
WITH named AS (
    SELECT rule_id, number, is_pinned
    FROM unnest(%(rules)s::bigint[], %(numbers)s::integer[], %(pinned)s::boolean[])
        AS named (rule_id, number, is_pinned)
), wanted AS (
    SELECT rule_id, number, bool_or(is_rendered) AS is_rendered
    FROM (
        SELECT rule_id, number, is_pinned AS is_rendered FROM named
        UNION ALL
        SELECT id, version, true FROM callback_rule WHERE id IN (SELECT rule_id FROM named)
    ) AS each
    GROUP BY rule_id, number
), read AS (
    SELECT r.organization_id, r.id AS rule_id, v.number, r.version AS current_version, r.status,
           (v.definition->>'partner_id')::bigint AS partner_id, wanted.is_rendered,
           CASE WHEN wanted.is_rendered THEN v.definition::text END AS definition
    FROM wanted JOIN callback_rule AS r ON r.id = wanted.rule_id
    JOIN callback_rule_version AS v ON v.organization_id = r.organization_id
        AND v.rule_id = r.id AND v.number = wanted.number
), measured AS (
    SELECT *, coalesce(sum(octet_length(definition)) OVER (
        ORDER BY octet_length(definition), rule_id, number
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS bytes_before
    FROM read
)
SELECT organization_id, rule_id, number, current_version, status, partner_id, is_rendered,
       CASE WHEN bytes_before <= %(most)s THEN definition END AS definition
FROM measured
