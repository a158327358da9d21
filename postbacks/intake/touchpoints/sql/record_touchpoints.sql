-- Store each new touchpoint once with its keys, and reopen the installs that it may have earned.
WITH input AS MATERIALIZED (
    -- None of a forgotten device, of which the caller makes digests if it knows the organization's
    -- key, and none that the caller made by links and keys of another version than today's.
    SELECT row.*, date_trunc('milliseconds', now()) AS received_at,
           NOT row.has_key AND EXISTS (
               SELECT FROM tombstone_key WHERE tombstone_key.organization_id = row.organization_id
           ) AS lacks_digests,
           EXISTS (
               SELECT FROM erasure_tombstone AS tombstone
               WHERE tombstone.organization_id = row.organization_id
                   AND tombstone.app_id = row.app_id AND tombstone.digest = ANY(row.digests)
           ) AS is_blocked,
           coalesce(
               row.version <> coalesce((SELECT version FROM configuration_version), 0), false
           ) AS is_stale
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        public_id uuid, organization_id bigint, app_id bigint, partner_id bigint,
        campaign_id bigint, link_id bigint, kind text, source text, occurred_at timestamptz,
        click_id text, site_id text, ip_address text, user_agent text, os_name text,
        os_version text, device_model text, language text, country text, names jsonb,
        params jsonb, signature text, refused text, sender text, digest uuid, keys uuid[], proofs uuid[],
        has_key boolean, digests uuid[], version bigint
    )
), fresh AS (
    -- In one order for all, so that two that report the same never wait for each other in a ring.
    INSERT INTO touchpoint_seen AS seen (organization_id, digest, public_id, received_at)
    SELECT DISTINCT ON (organization_id, digest) organization_id, digest, public_id, received_at
    FROM input WHERE NOT (lacks_digests OR is_blocked OR is_stale)
    ORDER BY organization_id, digest
    ON CONFLICT (organization_id, digest) DO UPDATE
        SET received_at = excluded.received_at, public_id = excluded.public_id
        WHERE seen.received_at < now() - interval '7 days'
    RETURNING organization_id, digest, public_id
), stored AS (
    INSERT INTO touchpoint (
        organization_id, public_id, app_id, partner_id, campaign_id, link_id, kind, source,
        occurred_at, received_at, click_id, site_id, ip_address, user_agent, os_name, os_version,
        device_model, language, country, names, params, signature, refused, sender
    )
    SELECT organization_id, public_id, app_id, partner_id, campaign_id, link_id, kind, source,
           occurred_at, received_at, click_id, site_id, ip_address, user_agent, os_name,
           os_version, device_model, language, country, names, params, signature, refused, sender
    FROM input JOIN fresh USING (organization_id, digest, public_id)
    RETURNING id, public_id
), keyed AS (
    INSERT INTO touchpoint_key
        (organization_id, app_id, key, kind, occurred_at, received_at, touchpoint_id)
    SELECT organization_id, app_id, key, kind, occurred_at, received_at, stored.id
    FROM stored JOIN input USING (public_id) CROSS JOIN LATERAL unnest(keys) AS key
    ON CONFLICT DO NOTHING
), late AS (
    SELECT install_id FROM unsettled_install
    WHERE install_id IN (
        SELECT install_key.install_id
        FROM stored JOIN input USING (public_id) CROSS JOIN LATERAL unnest(input.proofs) AS key
        JOIN install_key ON install_key.organization_id = input.organization_id
            AND install_key.app_id = input.app_id AND install_key.key = key.key
    )
    ORDER BY install_id FOR UPDATE
), reopened AS (
    UPDATE unsettled_install SET due_at = now() FROM late
    WHERE unsettled_install.install_id = late.install_id
    RETURNING 1
)
SELECT input.public_id,
       -- Not joined: PostgreSQL may read all that the organization has reported for that.
       coalesce(fresh.public_id, (
           SELECT seen.public_id FROM touchpoint_seen AS seen
           WHERE seen.organization_id = input.organization_id AND seen.digest = input.digest
       ), input.public_id),
       stored.id IS NOT NULL, input.is_blocked, input.lacks_digests, input.is_stale,
       (SELECT pg_notify(:'Channel.WORK', '') FROM reopened LIMIT 1)
FROM input
LEFT JOIN fresh USING (organization_id, digest)
LEFT JOIN stored ON stored.public_id = input.public_id
