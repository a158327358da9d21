-- Write the keys of this step's installs and clicks, and the ids and digests of its devices.
WITH of_installs AS (
    INSERT INTO install_key (organization_id, app_id, key, install_id, lasting)
    SELECT organization_id, app_id, key, install_id, lasting
    FROM load_install JOIN load_key ON load_key.number = device_number AND NOT is_click
), of_devices AS (
    INSERT INTO device_identifier (
        organization_id, app_id, kind, key, device, install_ref, digests, seen_on
    )
    SELECT organization_id, app_id, kind, key, device, install_id, digests, installed_at::date
    FROM load_install JOIN load_identifier USING (device_number)
    RETURNING id, organization_id, digests
), digests AS (
    INSERT INTO device_digest (organization_id, digest, identifier_ref)
    SELECT organization_id, digest, id FROM of_devices CROSS JOIN LATERAL unnest(digests) AS digest
)
INSERT INTO touchpoint_key (
    organization_id, app_id, key, kind, occurred_at, received_at, touchpoint_id
)
SELECT organization_id, app_id, key, :'TouchpointKind.CLICK', received_at, received_at, load_click.id
FROM load_click JOIN load_key ON load_key.number = load_click.number AND is_click
