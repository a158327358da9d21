-- Cut an organization's days anew from its quarters of hours, since the beginning of a former day.
INSERT INTO figure AS known (
    organization_id, span, at, kind, app_ref, rule_ref, partner_ref, campaign_ref, event_name,
    state, code, count, amount
)
SELECT organization_id, 1440, date_trunc('day', at, %(zone)s), kind, app_ref, rule_ref,
       partner_ref, campaign_ref, event_name, state, code, sum(count), sum(amount)
FROM figure
WHERE organization_id = %(organization)s AND span = 15 AND at >= %(since)s
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
ON CONFLICT ON CONSTRAINT one_figure_per_span_and_subject DO UPDATE SET
    count = known.count + excluded.count,
    amount = CASE WHEN known.amount IS NULL THEN excluded.amount
                  ELSE known.amount + coalesce(excluded.amount, 0) END
