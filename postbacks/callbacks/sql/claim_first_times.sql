-- Claim the first time of each device for a rule, unless one of its spellings has had it.
INSERT INTO rule_device (organization_id, rule_id, device)
SELECT organization_id, rule_id, device
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, rule_id bigint, device text, others text[]
)
WHERE NOT EXISTS (
    SELECT FROM rule_device AS claimed
    WHERE claimed.organization_id = row.organization_id AND claimed.rule_id = row.rule_id
      AND claimed.device = ANY(row.others)
    OFFSET 0  -- a probe of the index for each row, never a join that reads the table
)
-- The same order in all workers, so that they never wait for each other in a circle.
ORDER BY organization_id, rule_id, device
ON CONFLICT DO NOTHING
RETURNING rule_id, device
