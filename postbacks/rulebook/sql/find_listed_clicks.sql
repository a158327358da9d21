-- Find the clicks with some of a network's IDs, and the installs that they are credited with.
SELECT key.key, click.id, click.received_at, click.partner_id, install.app_id, install.device
FROM touchpoint_key AS key
JOIN touchpoint AS click ON click.organization_id = key.organization_id
    AND click.id = key.touchpoint_id AND click.received_at = key.received_at
LEFT JOIN install ON install.organization_id = key.organization_id
    AND install.touchpoint = click.public_id
WHERE key.organization_id = %(organization)s AND key.app_id = ANY(%(apps)s::bigint[])
  AND key.key = ANY(%(keys)s::uuid[])
ORDER BY key.received_at
