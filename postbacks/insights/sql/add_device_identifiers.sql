-- Store the ids of devices that are new, with their digests; renew those last seen a week before.
WITH stored AS (
    INSERT INTO device_identifier AS known (
        organization_id, app_id, kind, key, device, install_ref, digests, seen_on
    )
    SELECT organization_id, app_id, kind, key, device, install_ref, digests, current_date
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        organization_id bigint, app_id bigint, kind text, key uuid, device text,
        install_ref bigint, digests bigint[]
    )
    -- The same order in all workers, so that they can't deadlock.
    ORDER BY organization_id, app_id, key, device
    ON CONFLICT ON CONSTRAINT one_device_identifier_per_app_key_and_device DO UPDATE
        SET seen_on = excluded.seen_on,
            install_ref = coalesce(excluded.install_ref, known.install_ref)
        WHERE known.seen_on < excluded.seen_on - 7
           OR known.install_ref IS DISTINCT FROM
              coalesce(excluded.install_ref, known.install_ref)
    RETURNING id, organization_id, digests, xmax = 0 AS is_new
)
INSERT INTO device_digest (organization_id, digest, identifier_ref)
SELECT organization_id, digest, id FROM stored CROSS JOIN LATERAL unnest(digests) AS digest
WHERE is_new
