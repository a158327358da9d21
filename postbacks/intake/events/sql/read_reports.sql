-- Read reported events of an organization that has forgotten no device; else none of them, for
-- each has to come with its digests.
SELECT reported.*, NULL::uuid[] AS forgotten
FROM (:read_rows) AS reported
WHERE NOT EXISTS (SELECT FROM tombstone_key WHERE organization_id = %(organization)s)
