-- Find organizations with undecided events, from one on in the order of their ids, and count a few.
WITH RECURSIVE organization AS (
    -- One probe of the index for each organization, however many events it has.
    (SELECT organization_id FROM undecided_event
     WHERE organization_id > %(after)s::bigint
     ORDER BY organization_id, id LIMIT 1)
    UNION ALL
    SELECT next.organization_id
    FROM organization CROSS JOIN LATERAL (
        SELECT organization_id FROM undecided_event
        WHERE organization_id > organization.organization_id
        ORDER BY organization_id, id LIMIT 1
    ) AS next
), walked AS MATERIALIZED (
    SELECT organization_id FROM organization LIMIT %(most)s
)
SELECT organization_id, (
    SELECT count(*) FROM (
        SELECT FROM undecided_event AS queued
        WHERE queued.organization_id = walked.organization_id
        ORDER BY queued.organization_id, queued.id LIMIT %(counted)s
    ) AS few
) AS events
FROM walked
