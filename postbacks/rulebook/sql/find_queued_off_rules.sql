-- Find suspended and archived rules with postbacks in the queue that no worker has.
WITH RECURSIVE queued (rule_id) AS (
    -- One probe of the index for each rule, however many postbacks wait.
    (SELECT rule_id FROM due_postback WHERE claim_id IS NULL ORDER BY rule_id LIMIT 1)
    UNION ALL
    SELECT next.rule_id
    FROM queued CROSS JOIN LATERAL (
        SELECT rule_id FROM due_postback
        WHERE claim_id IS NULL AND due_postback.rule_id > queued.rule_id
        ORDER BY rule_id LIMIT 1
    ) AS next
)
SELECT rule.organization_id, rule.id AS rule_id, rule.status,
       rule.status = :'RuleStatus.ARCHIVED'
           OR coalesce(partner.status = :'Lifecycle.ARCHIVED', false) AS is_archived
FROM queued
JOIN callback_rule AS rule ON rule.id = queued.rule_id
LEFT JOIN partner
  ON partner.organization_id = rule.organization_id AND partner.id = rule.partner_id
WHERE rule.status IN (:'RuleStatus.SUSPENDED', :'RuleStatus.ARCHIVED')
   OR partner.status = :'Lifecycle.ARCHIVED'
LIMIT %(limit)s
