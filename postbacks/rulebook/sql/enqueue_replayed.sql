-- Queue postbacks for a replay, each at its time, unless they are in the queue or held already.
INSERT INTO due_postback (
    postback_id, organization_id, event_received_at, rule_id, host, kind, due_at, paced,
    pinned_version
)
SELECT postback_id, organization_id, event_received_at, rule_id, host, :'AttemptKind.REPLAY',
       due_at, paced, pinned_version
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    postback_id bigint, organization_id bigint, event_received_at timestamptz, rule_id bigint,
    host text, due_at timestamptz, paced boolean, pinned_version integer
)
WHERE NOT EXISTS (
    SELECT FROM held_postback AS held
    WHERE held.organization_id = row.organization_id AND held.postback_id = row.postback_id
)
ON CONFLICT DO NOTHING
RETURNING postback_id
