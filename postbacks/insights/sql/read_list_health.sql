-- Sum the postbacks of a list's rows that have ended, by hour; without keys those of all rows, in all.
SELECT subject, hour, sum(delivered)::bigint AS delivered, sum(failed)::bigint AS failed
FROM (
    SELECT CASE %(group_by)s
               WHEN 'app' THEN app_ref
               WHEN 'campaign' THEN campaign_ref
               WHEN 'partner' THEN coalesce(rule.partner_id, 0)
               ELSE rule_ref END AS subject,
           CASE WHEN %(keys)s::bigint[] IS NULL THEN NULL ELSE hour END AS hour,
           delivered, failed
    FROM (
        SELECT at AS hour, app_ref, rule_ref, campaign_ref, delivered, failed
        FROM outcome_hour
        WHERE organization_id = %(organization)s AND at >= %(since)s
          AND (%(group_by)s <> 'rule' OR %(keys)s::bigint[] IS NULL
               OR rule_ref = ANY(%(keys)s::bigint[]))
        UNION ALL
        -- What is not folded yet.
        SELECT date_bin('1 hour', at, '2000-01-01 00:00+00'), app_ref, rule_ref, campaign_ref,
               CASE WHEN state = :'FlowState.DELIVERED' THEN count ELSE 0 END,
               CASE WHEN state = :'FlowState.FAILED' THEN count ELSE 0 END
        FROM figure_change
        WHERE organization_id = %(organization)s AND at >= %(since)s
          AND kind = :'FigureKind.POSTBACK'
          AND state IN (:'FlowState.DELIVERED', :'FlowState.FAILED')
    ) AS outcomes
    LEFT JOIN callback_rule AS rule
      ON %(group_by)s = 'partner' AND rule.organization_id = %(organization)s
     AND rule.id = rule_ref
) AS grouped
WHERE %(keys)s::bigint[] IS NULL OR subject = ANY(%(keys)s::bigint[])
GROUP BY 1, 2
