-- Fold some changes into the figures of minutes, quarters of hours and days, and into their totals.
WITH changes AS MATERIALIZED (
    DELETE FROM figure_change
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM figure_change LIMIT %(limit)s))
    RETURNING *
), of_organizations AS MATERIALIZED (
    -- What a removed organization has left is folded nowhere.
    SELECT changes.*, (at AT TIME ZONE 'UTC')::date AS day,
           coalesce(figure_zone.time_zone, organization.time_zone) AS zone
    FROM changes JOIN organization ON organization.id = changes.organization_id
    LEFT JOIN figure_zone ON figure_zone.organization_id = organization.id
), zones AS (
    INSERT INTO figure_zone (organization_id, time_zone)
    SELECT DISTINCT organization_id, zone FROM of_organizations
    ON CONFLICT DO NOTHING
), outcomes AS (
    INSERT INTO last_outcome AS known (
        organization_id, app_ref, rule_ref, campaign_ref, delivered_at, failed_at
    )
    SELECT organization_id, app_ref, rule_ref, campaign_ref,
           max(at) FILTER (WHERE state = :'Outcome.DELIVERED'),
           max(at) FILTER (WHERE state <> :'Outcome.DELIVERED')
    FROM of_organizations WHERE kind = :'FigureKind.ATTEMPT' AND count > 0
    GROUP BY 1, 2, 3, 4
    -- One that comes late, as after a crash, is no newer.
    ON CONFLICT (organization_id, app_ref, rule_ref, campaign_ref) DO UPDATE SET
        delivered_at = greatest(known.delivered_at, excluded.delivered_at),
        failed_at = greatest(known.failed_at, excluded.failed_at)
), hours AS (
    INSERT INTO outcome_hour AS known (
        organization_id, rule_ref, at, app_ref, campaign_ref, delivered, failed
    )
    SELECT organization_id, rule_ref, date_bin('1 hour', at, '2000-01-01 00:00+00'), app_ref,
           campaign_ref,
           coalesce(sum(count) FILTER (WHERE state = :'FlowState.DELIVERED'), 0),
           coalesce(sum(count) FILTER (WHERE state = :'FlowState.FAILED'), 0)
    FROM of_organizations
    WHERE kind = :'FigureKind.POSTBACK' AND at >= %(hours_since)s
      AND state IN (:'FlowState.DELIVERED', :'FlowState.FAILED')
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (organization_id, rule_ref, at, app_ref, campaign_ref) DO UPDATE SET
        delivered = known.delivered + excluded.delivered, failed = known.failed + excluded.failed
), unknown AS (
    SELECT organization_id, day, event_name,
           row_number() OVER (PARTITION BY organization_id, day ORDER BY event_name) AS place
    FROM (
        SELECT DISTINCT organization_id, day, event_name FROM of_organizations
        WHERE event_name <> ''
    ) AS named
    WHERE NOT EXISTS (
        SELECT FROM figure_name AS known
        WHERE known.organization_id = named.organization_id AND known.day = named.day
          AND known.event_name = named.event_name
    )
), rooms AS (
    SELECT days.*, %(most_names)s - (
        SELECT count(*) FROM figure_name AS known
        WHERE known.organization_id = days.organization_id AND known.day = days.day
    ) AS room
    FROM (SELECT DISTINCT organization_id, day FROM unknown) AS days
), others AS MATERIALIZED (
    SELECT organization_id, day, event_name
    FROM unknown JOIN rooms USING (organization_id, day) WHERE place > room
), admitted AS (
    INSERT INTO figure_name (organization_id, day, event_name)
    SELECT organization_id, day, event_name
    FROM unknown JOIN rooms USING (organization_id, day) WHERE place <= room
), named AS MATERIALIZED (
    SELECT each.organization_id, each.at, each.zone, each.kind, app_ref, rule_ref, partner_ref,
           campaign_ref, state, code, count, amount,
           CASE WHEN others.day IS NULL THEN each.event_name ELSE %(other)s END AS event_name
    FROM of_organizations AS each LEFT JOIN others
      ON others.organization_id = each.organization_id AND others.day = each.day
     AND others.event_name = each.event_name
), spans AS (
    SELECT *, 1 AS span, at AS start FROM named WHERE at >= %(minutes_since)s
    UNION ALL
    SELECT *, 15, date_bin('15 minutes', at, '2000-01-01 00:00+00') FROM named
    WHERE at >= %(quarters_since)s
    UNION ALL
    SELECT *, 60, date_bin('1 hour', at, '2000-01-01 00:00+00') FROM named
    WHERE at >= %(quarters_since)s
    UNION ALL
    SELECT *, 1440, date_trunc('day', at, zone) FROM named
), sums AS MATERIALIZED (
    SELECT organization_id, span, start, kind, app_ref, rule_ref, partner_ref, campaign_ref,
           event_name, state, code, sum(count) AS count, sum(amount) AS amount
    FROM spans
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    HAVING sum(count) <> 0
), folded AS (
    INSERT INTO figure AS known (
        organization_id, span, at, kind, app_ref, rule_ref, partner_ref, campaign_ref, event_name,
        state, code, count, amount
    )
    SELECT organization_id, span, start, kind, app_ref, rule_ref, partner_ref, campaign_ref,
           event_name, state, code, count, amount
    FROM sums WHERE span <> 60
    ON CONFLICT ON CONSTRAINT one_figure_per_subject DO UPDATE SET
        count = known.count + excluded.count,
        amount = CASE WHEN known.amount IS NULL THEN excluded.amount
                      ELSE known.amount + coalesce(excluded.amount, 0) END
), totalled AS (
    INSERT INTO figure_total AS known (
        organization_id, total_of, span, at, kind, app_ref, rule_ref, partner_ref, campaign_ref,
        state, code, count, amount
    )
    SELECT organization_id, total_of, span, start, kind,
           CASE WHEN total_of = :'TotalOf.ALL' THEN 0 ELSE app_ref END,
           CASE WHEN total_of = :'TotalOf.RULES' THEN rule_ref ELSE 0 END,
           CASE WHEN total_of = :'TotalOf.CAMPAIGNS' THEN partner_ref ELSE 0 END,
           CASE WHEN total_of = :'TotalOf.CAMPAIGNS' THEN campaign_ref ELSE 0 END,
           state, code, sum(count), sum(amount)
    FROM sums CROSS JOIN (
        VALUES (:'TotalOf.ALL', 1), (:'TotalOf.RULES', 60), (:'TotalOf.CAMPAIGNS', 60)
    ) AS total (total_of, finest)
    WHERE span >= finest
      AND (total_of <> :'TotalOf.RULES'
           OR kind NOT IN (:'FigureKind.EVENT', :'FigureKind.INSTALL'))
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    HAVING sum(count) <> 0
    ON CONFLICT ON CONSTRAINT one_total_per_subject DO UPDATE SET
        count = known.count + excluded.count,
        amount = CASE WHEN known.amount IS NULL THEN excluded.amount
                      ELSE known.amount + coalesce(excluded.amount, 0) END
)
SELECT count(*) FROM changes
