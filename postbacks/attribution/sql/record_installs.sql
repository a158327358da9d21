-- Record installs with their first credit, identifiers and place in the reattribution queue.
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        public_id uuid, organization_id bigint, app_id bigint, device text, number integer,
        before_id bigint, kind text, install_id text, platform text, installed_at timestamptz,
        install_begin_at timestamptz, last_open_at timestamptz, event_ref bigint,
        event_received_at timestamptz, attribution_type text, method text, partner_id bigint,
        campaign_id bigint, link_id bigint, touchpoint uuid, touched_at timestamptz,
        window_seconds integer, consent jsonb, facts jsonb, candidates jsonb, rejections jsonb,
        remarks jsonb, lasting uuid[], late uuid[], due_at timestamptz, final_at timestamptz
    )
), begun AS (
    INSERT INTO install (
        public_id, organization_id, app_id, device, number, before_id, kind, state, install_id,
        platform, installed_at, install_begin_at, last_open_at, event_ref, event_received_at,
        attribution_type, attribution_version, method, partner_id, campaign_id, link_id,
        touchpoint, touched_at, consent
    )
    SELECT public_id, organization_id, app_id, device, number, before_id, kind,
           :'InstallState.PROVISIONAL', install_id, platform, installed_at, install_begin_at,
           last_open_at, event_ref, event_received_at, attribution_type, 1, method, partner_id,
           campaign_id, link_id, touchpoint, touched_at, consent
    FROM input
    -- The same order in all workers, so that they can't deadlock.
    ORDER BY organization_id, app_id, device, number
    ON CONFLICT DO NOTHING
    RETURNING id, public_id
), credited AS (
    INSERT INTO attribution (
        organization_id, install_id, version, decided_at, cause, type, method, partner_id,
        campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates,
        rejections, remarks
    )
    SELECT organization_id, begun.id, 1, now(), kind, attribution_type, method, partner_id,
           campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates,
           rejections, remarks
    FROM begun JOIN input USING (public_id)
), identified AS (
    INSERT INTO install_key (organization_id, app_id, key, install_id, lasting)
    SELECT organization_id, app_id, key, begun.id, true
    FROM begun JOIN input USING (public_id) CROSS JOIN LATERAL unnest(lasting) AS key
    UNION ALL
    SELECT organization_id, app_id, key, begun.id, false
    FROM begun JOIN input USING (public_id) CROSS JOIN LATERAL unnest(late) AS key
), queued AS (
    INSERT INTO unsettled_install (install_id, organization_id, due_at, final_at)
    SELECT begun.id, organization_id, due_at, final_at FROM begun JOIN input USING (public_id)
), counted AS (
    INSERT INTO figure_change (
        organization_id, at, kind, app_ref, partner_ref, campaign_ref, state, code, count
    )
    SELECT organization_id, minute_of(event_received_at), :'FigureKind.INSTALL', app_id,
           coalesce(partner_id, 0), coalesce(campaign_id, 0), attribution_type, kind, count(*)
    FROM begun JOIN input USING (public_id) GROUP BY 1, 2, 4, 5, 6, 7, 8
)
SELECT public_id, id FROM begun
