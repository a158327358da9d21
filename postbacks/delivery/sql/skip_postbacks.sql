-- Skip postbacks that have just left the queue, and give first times back to their devices.
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        organization_id bigint, postback_id bigint, event_received_at timestamptz, reason text
    )
), skipped AS (
    UPDATE postback SET
        -- A delivered postback stays delivered, even if its resend is skipped.
        status = CASE WHEN delivered_at IS NULL THEN :'PostbackStatus.SKIPPED' ELSE status END,
        reason = CASE WHEN delivered_at IS NULL THEN input.reason ELSE '' END,
        next_attempt_at = NULL
    FROM input
    WHERE postback.organization_id = input.organization_id AND postback.id = input.postback_id
      AND postback.event_received_at = input.event_received_at
      AND postback.event_received_at BETWEEN '-infinity' AND 'infinity'
    RETURNING postback.organization_id, postback.id, postback.rule_id, postback.rule_version,
              postback.app_id, postback.event_id, postback.event_received_at, postback.status
), given_back AS (
    DELETE FROM rule_device USING skipped, callback_rule_version AS version, event
    WHERE skipped.status = :'PostbackStatus.SKIPPED'
      AND version.organization_id = skipped.organization_id
      AND version.rule_id = skipped.rule_id AND version.number = skipped.rule_version
      AND version.definition ->> 'frequency' = :'Frequency.FIRST'
      AND event.organization_id = skipped.organization_id AND event.id = skipped.event_id
      AND event.received_at = skipped.event_received_at
      AND event.received_at BETWEEN '-infinity' AND 'infinity' AND event.device <> ''
      AND rule_device.organization_id = skipped.organization_id
      AND rule_device.rule_id = skipped.rule_id
      AND rule_device.device = skipped.app_id || ':' || event.device
)
SELECT count(*) FROM skipped WHERE status = :'PostbackStatus.SKIPPED'
