-- Read reported events, and of each the digests of its ids that belong to a forgotten device.
WITH input AS MATERIALIZED (
    SELECT nextval('event_key_id_seq') AS id, row.*
    FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
        request bigint, app_id bigint, source text,
        event_id uuid, event_name text, event_time timestamptz, bundle_id text,
        platform text, device text, customer_user_id text, revenue numeric, currency text,
        fields jsonb, params jsonb, digests jsonb
    )
), forgotten AS (
    SELECT input.id, array_agg(erasure_tombstone.digest) AS digests
    FROM input CROSS JOIN LATERAL jsonb_array_elements_text(digests) AS one (digest)
    JOIN erasure_tombstone ON erasure_tombstone.organization_id = %(organization)s
        AND erasure_tombstone.app_id = input.app_id
        AND erasure_tombstone.digest = one.digest::uuid
    GROUP BY input.id
)
SELECT input.*, forgotten.digests AS forgotten FROM input LEFT JOIN forgotten USING (id)
