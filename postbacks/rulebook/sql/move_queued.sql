-- Move a batch of a rule's queued postbacks to the lane and the pace of its current version.
WITH batch AS (
    SELECT postback_id FROM due_postback
    WHERE postback_id > %(after)s AND rule_id = %(rule)s AND claim_id IS NULL
      AND pinned_version IS NULL AND (host, paced) <> (%(host)s, %(paced)s)
    ORDER BY postback_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE due_postback SET host = %(host)s, paced = %(paced)s
FROM batch
WHERE due_postback.postback_id = batch.postback_id
RETURNING due_postback.postback_id
