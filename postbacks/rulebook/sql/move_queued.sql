-- Move a batch of queued postbacks to the lane and the pace of their rules' current versions.
WITH target AS MATERIALIZED (
    SELECT * FROM unnest(%(rules)s::bigint[], %(hosts)s::text[], %(paced)s::boolean[])
        AS target (rule_id, host, paced)
), batch AS MATERIALIZED (
    SELECT due.postback_id, target.host, target.paced
    FROM due_postback AS due JOIN target USING (rule_id)
    WHERE due.postback_id > %(after)s AND due.claim_id IS NULL AND due.pinned_version IS NULL
      AND (due.host, due.paced) <> (target.host, target.paced)
    ORDER BY due.postback_id LIMIT %(limit)s
    FOR UPDATE OF due SKIP LOCKED
)
UPDATE due_postback SET host = batch.host, paced = batch.paced
FROM batch
WHERE due_postback.postback_id = batch.postback_id
RETURNING due_postback.postback_id
