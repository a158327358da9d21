-- Find the rules that made a postback of an event, and whether it was more than skipped.
SELECT postback.event_id, postback.rule_id,
       bool_or(postback.status <> :'PostbackStatus.SKIPPED') AS is_sent
FROM unnest(
    %(events)s::bigint[], %(organizations)s::bigint[], %(uuids)s::uuid[], %(moments)s::timestamptz[]
) AS input (event_id, organization_id, uuid, received_at)
JOIN postback ON postback.organization_id = input.organization_id
    AND postback.sdk_event_id = input.uuid AND postback.event_id = input.event_id
    AND postback.event_received_at = input.received_at
WHERE postback.event_received_at BETWEEN %(first)s AND %(last)s AND NOT postback.test
GROUP BY postback.event_id, postback.rule_id
