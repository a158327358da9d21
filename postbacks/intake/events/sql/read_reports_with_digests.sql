-- Read reported events, and of each the digests of its ids that belong to a forgotten device.
WITH input AS MATERIALIZED (
    SELECT * FROM (:read_rows) AS reported
), forgotten AS (
    SELECT input.id, array_agg(erasure_tombstone.digest) AS digests
    FROM input CROSS JOIN LATERAL jsonb_array_elements_text(digests) AS one (digest)
    JOIN erasure_tombstone ON erasure_tombstone.organization_id = %(organization)s
        AND erasure_tombstone.app_id = input.app_id
        AND erasure_tombstone.digest = one.digest::uuid
    GROUP BY input.id
)
SELECT input.*, forgotten.digests AS forgotten FROM input LEFT JOIN forgotten USING (id)
