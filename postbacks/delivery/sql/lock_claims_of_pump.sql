-- Lock what a pump has claimed and not finished.
SELECT claim_id, organization_id, postback_id, event_received_at, rule_id, kind, pinned_version,
       due_at - make_interval(secs => %(lease)s) AS claimed_at
FROM due_postback
WHERE claim_id BETWEEN %(first_claim)s AND %(last_claim)s
ORDER BY postback_id FOR UPDATE
