-- Sum figures over parts of a period that are kept in different spans, by steps and by one subject
-- What is not folded yet is added. Postbacks, attempts and deliveries count for the partner of their
-- rule, events and installs for whom they are credited to; those belong to no rule. If there are
-- more steps and subjects than `most`, one row says so, whose step is -1: nobody loads them all.
-- A part is read from figures, or where it has a `total` from those totals: they tell less apart.
-- OFFSET 0 keeps PostgreSQL from reading all there is at once: it takes any part for a large one.
WITH part AS (
    SELECT total, string_to_array(kinds, ' ') AS kinds, span, since, until
    FROM unnest(
        %(totals)s::text[], %(part_kinds)s::text[], %(spans)s::smallint[],
        %(sinces)s::timestamptz[], %(untils)s::timestamptz[]
    ) AS each (total, kinds, span, since, until)
), sums AS MATERIALIZED (
    SELECT CASE WHEN cardinality(%(starts)s::timestamptz[]) > 0
                THEN width_bucket(at, %(starts)s::timestamptz[]) ELSE 0 END AS step,
           CASE %(group_by)s
               WHEN 'app' THEN app_ref::text
               WHEN 'partner' THEN partner_ref::text
               WHEN 'campaign' THEN campaign_ref::text
               WHEN 'rule' THEN rule_ref::text
               WHEN 'event_name' THEN event_name
               ELSE '' END AS subject,
           kind, state, code,
           CASE WHEN amount IS NOT NULL THEN (middle AT TIME ZONE 'UTC')::date END AS day,
           sum(count)::bigint AS count, sum(amount) AS amount
    FROM (
        SELECT counted.at, counted.middle, counted.kind, counted.app_ref, counted.rule_ref,
               CASE WHEN counted.kind IN (:'FigureKind.EVENT', :'FigureKind.INSTALL')
                    THEN counted.partner_ref ELSE coalesce(rule.partner_id, 0) END AS partner_ref,
               counted.campaign_ref, counted.event_name, counted.state, counted.code, counted.count,
               counted.amount
        FROM (
            SELECT at, at + part.span * interval '30 seconds' AS middle, kind, app_ref, rule_ref,
                   partner_ref, campaign_ref, event_name, state, code, count, amount
            FROM part CROSS JOIN LATERAL (
                SELECT at, kind, app_ref, rule_ref, partner_ref, campaign_ref, event_name, state,
                       code, count, amount
                FROM figure
                WHERE organization_id = %(organization)s AND span = part.span
                  AND at >= part.since AND at < part.until AND kind = ANY(part.kinds)
                OFFSET 0
            ) AS figure
            WHERE part.total = ''
            UNION ALL
            SELECT at, at + part.span * interval '30 seconds', kind, app_ref, rule_ref,
                   partner_ref, campaign_ref, '', state, code, count, amount
            FROM part CROSS JOIN LATERAL (
                SELECT at, kind, app_ref, rule_ref, partner_ref, campaign_ref, state, code, count,
                       amount
                FROM figure_total
                WHERE organization_id = %(organization)s AND total_of = part.total
                  AND span = part.span AND at >= part.since AND at < part.until
                  AND kind = ANY(part.kinds)
                OFFSET 0
            ) AS total
            WHERE part.total <> ''
            UNION ALL
            SELECT at, at, kind, app_ref, rule_ref, partner_ref, campaign_ref, event_name, state,
                   code, count, amount
            FROM figure_change
            WHERE organization_id = %(organization)s AND at >= %(since)s AND at < %(until)s
        ) AS counted
        LEFT JOIN callback_rule AS rule
          ON rule.organization_id = %(organization)s AND rule.id = counted.rule_ref
    ) AS figures
    WHERE kind = ANY(%(kinds)s) AND NOT event_name = ANY(%(without_names)s::text[])
      AND (%(app)s::bigint IS NULL OR app_ref = %(app)s)
      AND (%(campaign)s::bigint IS NULL OR campaign_ref = %(campaign)s)
      AND (%(partner)s::bigint IS NULL OR partner_ref = %(partner)s)
      AND (%(rule)s::bigint IS NULL OR rule_ref = %(rule)s
           OR kind IN (:'FigureKind.EVENT', :'FigureKind.INSTALL'))
    GROUP BY 1, 2, 3, 4, 5, 6
    HAVING sum(count) <> 0
), judged AS MATERIALIZED (
    SELECT coalesce(count(*) > %(most)s::bigint, false) AS are_too_many
    FROM (
        SELECT DISTINCT step, subject FROM sums WHERE %(most)s::bigint IS NOT NULL
        LIMIT %(most)s::bigint + 1
    ) AS row
)
SELECT * FROM sums WHERE NOT (SELECT are_too_many FROM judged)
UNION ALL
SELECT -1, '', '', '', '', NULL, 0, NULL FROM judged WHERE are_too_many
