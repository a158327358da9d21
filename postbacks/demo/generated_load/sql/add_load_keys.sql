-- Write the keys of this step's installs and clicks.
WITH of_installs AS (
    INSERT INTO install_key (organization_id, app_id, key, install_id, lasting)
    SELECT organization_id, app_id, key, install_id, lasting
    FROM load_install JOIN load_key ON load_key.number = device_number AND NOT is_click
)
INSERT INTO touchpoint_key (
    organization_id, app_id, key, kind, occurred_at, received_at, touchpoint_id
)
SELECT organization_id, app_id, key, :'TouchpointKind.CLICK', received_at, received_at, load_click.id
FROM load_click JOIN load_key ON load_key.number = load_click.number AND is_click
