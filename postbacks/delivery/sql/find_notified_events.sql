-- Return the events that their partner was already notified of.
SELECT input.event_id
FROM unnest(
    %(events)s::bigint[], %(organizations)s::bigint[], %(uuids)s::uuid[],
    %(moments)s::timestamptz[], %(partners)s::bigint[]
) AS input (event_id, organization_id, uuid, received_at, partner_id)
WHERE EXISTS (
    SELECT FROM postback
    -- The postback's version of its rule says which partner it notified, and of whose installs.
    JOIN callback_rule_version AS version ON version.organization_id = postback.organization_id
        AND version.rule_id = postback.rule_id AND version.number = postback.rule_version
    WHERE postback.organization_id = input.organization_id AND postback.sdk_event_id = input.uuid
      AND postback.event_id = input.event_id AND postback.event_received_at = input.received_at
      AND postback.event_received_at BETWEEN %(first)s AND %(last)s AND NOT postback.test
      AND postback.status IN (:'PostbackStatus.PENDING', :'PostbackStatus.DELIVERED')
      AND (version.definition ->> 'partner_id')::bigint = input.partner_id
      AND version.definition ->> 'attribution_scope'
          IN (:'AttributionScope.PARTNER', :'AttributionScope.PARTNER_AND_ORGANIC')
)
