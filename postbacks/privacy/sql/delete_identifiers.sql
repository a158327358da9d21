-- Delete the ids of some devices of an app, and the digests by which searches find them.
WITH gone AS (
    DELETE FROM device_identifier
    WHERE organization_id = %(organization)s AND app_id = %(app)s
      AND key = ANY(%(keys)s::uuid[]) AND device = ANY(%(devices)s)
    RETURNING organization_id, id, digests
)
DELETE FROM device_digest USING gone CROSS JOIN LATERAL unnest(gone.digests) AS each (digest)
WHERE device_digest.organization_id = gone.organization_id
  AND device_digest.digest = each.digest AND device_digest.identifier_ref = gone.id
