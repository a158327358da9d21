-- Adds a day's refusals to the counters of an organization.
INSERT INTO refusal_count AS stored
    (organization_id, day, app_id, reason, pointer, sdk_version, refused, kept)
SELECT %(organization)s, %(day)s, app_id, reason, pointer, sdk_version, refused, kept
FROM unnest(
    %(apps)s::bigint[],
    %(reasons)s::text[],
    %(pointers)s::text[],
    %(versions)s::text[],
    %(refused)s::bigint[],
    %(kept)s::bigint[]
) AS counted (app_id, reason, pointer, sdk_version, refused, kept)
ON CONFLICT (organization_id, day, app_id, reason, pointer, sdk_version) DO UPDATE
SET refused = stored.refused + excluded.refused, kept = stored.kept + excluded.kept
