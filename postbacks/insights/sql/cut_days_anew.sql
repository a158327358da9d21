-- Cut an organization's days anew from its quarters of hours, since the beginning of a former day.
WITH days AS MATERIALIZED (
    SELECT organization_id, date_trunc('day', at, %(zone)s) AS at, kind, app_ref, rule_ref,
           partner_ref, campaign_ref, event_name, state, code, sum(count) AS count,
           sum(amount) AS amount
    FROM figure
    WHERE organization_id = %(organization)s AND span = 15 AND at >= %(since)s
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
), cut AS (
    INSERT INTO figure AS known (
        organization_id, span, at, kind, app_ref, rule_ref, partner_ref, campaign_ref, event_name,
        state, code, count, amount
    )
    SELECT organization_id, 1440, at, kind, app_ref, rule_ref, partner_ref, campaign_ref,
           event_name, state, code, count, amount
    FROM days
    ON CONFLICT ON CONSTRAINT one_figure_per_subject DO UPDATE SET
        count = known.count + excluded.count,
        amount = CASE WHEN known.amount IS NULL THEN excluded.amount
                      ELSE known.amount + coalesce(excluded.amount, 0) END
)
INSERT INTO figure_total AS known (
    organization_id, total_of, span, at, kind, app_ref, rule_ref, partner_ref, campaign_ref, state,
    code, count, amount
)
SELECT organization_id, total_of, 1440, at, kind,
       CASE WHEN total_of = :'TotalOf.ALL' THEN 0 ELSE app_ref END,
       CASE WHEN total_of = :'TotalOf.RULES' THEN rule_ref ELSE 0 END,
       CASE WHEN total_of = :'TotalOf.CAMPAIGNS' THEN partner_ref ELSE 0 END,
       CASE WHEN total_of = :'TotalOf.CAMPAIGNS' THEN campaign_ref ELSE 0 END,
       state, code, sum(count), sum(amount)
FROM days CROSS JOIN (
    VALUES (:'TotalOf.ALL'), (:'TotalOf.RULES'), (:'TotalOf.CAMPAIGNS')
) AS total (total_of)
WHERE total_of <> :'TotalOf.RULES' OR kind NOT IN (:'FigureKind.EVENT', :'FigureKind.INSTALL')
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
ON CONFLICT ON CONSTRAINT one_total_per_subject DO UPDATE SET
    count = known.count + excluded.count,
    amount = CASE WHEN known.amount IS NULL THEN excluded.amount
                  ELSE known.amount + coalesce(excluded.amount, 0) END
