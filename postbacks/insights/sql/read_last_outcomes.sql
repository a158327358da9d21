-- Read when rows of a list last delivered and last failed; without keys all rows.
SELECT subject, max(delivered_at) AS delivered_at, max(failed_at) AS failed_at
FROM (
    SELECT CASE %(group_by)s
               WHEN 'app' THEN app_ref
               WHEN 'campaign' THEN campaign_ref
               WHEN 'partner' THEN coalesce(rule.partner_id, 0)
               ELSE rule_ref END AS subject,
           delivered_at, failed_at
    FROM (
        SELECT app_ref, rule_ref, campaign_ref, delivered_at, failed_at
        FROM last_outcome WHERE organization_id = %(organization)s
        UNION ALL
        -- What is not folded yet.
        SELECT app_ref, rule_ref, campaign_ref,
               CASE WHEN state = :'Outcome.DELIVERED' THEN at END,
               CASE WHEN state <> :'Outcome.DELIVERED' THEN at END
        FROM figure_change
        WHERE organization_id = %(organization)s AND kind = :'FigureKind.ATTEMPT' AND count > 0
    ) AS outcome
    LEFT JOIN callback_rule AS rule
      ON %(group_by)s = 'partner' AND rule.organization_id = %(organization)s
     AND rule.id = rule_ref
) AS grouped
WHERE %(keys)s::bigint[] IS NULL OR subject = ANY(%(keys)s::bigint[])
GROUP BY 1
