-- Write the postbacks of events: of twenty one is skipped, one was refused, the others delivered.
CREATE TEMP TABLE load_postback ON COMMIT DROP AS
WITH owed AS MATERIALIZED (
    SELECT each.number, load_event.organization_id, load_event.app_id,
           rules[1 + place_in_event] AS rule_id, place_in_event, load_event.id AS event_id, event_id AS sdk_event_id, event_name,
           received_at AS event_received_at, load_install.install_id, installed_at,
           campaign_id AS campaign_ref, md5('postback ' || each.number) AS digits,
           CASE mod(each.number, 20) WHEN 0 THEN 0
               ELSE ((each.number + 1) * %(attempts)s / %(tried)s
                   - each.number * %(attempts)s / %(tried)s)::integer END AS attempts_made,
           CASE mod(each.number, 20) WHEN 0 THEN :'PostbackStatus.SKIPPED'
               WHEN 1 THEN :'PostbackStatus.FAILED' ELSE :'PostbackStatus.DELIVERED' END AS status
    FROM load_event JOIN load_install USING (device_number)
    CROSS JOIN LATERAL generate_series(
        load_event.number * %(postbacks)s / %(events)s,
        (load_event.number + 1) * %(postbacks)s / %(events)s - 1
    ) WITH ORDINALITY AS each (number, ordinality)
    CROSS JOIN LATERAL (SELECT (ordinality - 1)::integer) AS place (place_in_event)
), timed AS MATERIALIZED (
    SELECT owed.*, CASE WHEN status = :'PostbackStatus.DELIVERED' THEN event_received_at
               + interval '40 ms' + (attempts_made - 1) * interval '5 seconds'
               + mod(number, 400) * interval '1 ms' END AS delivered_at,
           CASE status WHEN :'PostbackStatus.DELIVERED' THEN 200
               WHEN :'PostbackStatus.FAILED' THEN 404 END AS status_code
    FROM owed
), stored AS (
    INSERT INTO postback (
        organization_id, public_id, rule_id, rule_version, app_id, event_id, sdk_event_id,
        event_received_at, attribution_version, installed_at, status, reason, attempts_made,
        fingerprint, created_at, delivered_at, event_name, last_status_code, install_id,
        campaign_ref
    )
    SELECT organization_id,
           (lpad(to_hex((extract(epoch FROM event_received_at) * 1000)::bigint), 12, '0') || '7'
               || substr(digits, 1, 3) || 'a' || substr(digits, 4, 15))::uuid,
           rule_id, 1, app_id, event_id, sdk_event_id, event_received_at, 1, installed_at, status,
           CASE status WHEN :'PostbackStatus.SKIPPED' THEN :'SkipReason.NO_CONSENT'
               WHEN :'PostbackStatus.FAILED' THEN 'http_404' ELSE '' END,
           attempts_made, CASE WHEN attempts_made > 0 THEN digits ELSE '' END,
           event_received_at + interval '15 ms', delivered_at, event_name, status_code,
           install_id, campaign_ref
    FROM timed ORDER BY number
    RETURNING id, organization_id, app_id, rule_id, event_id, sdk_event_id, event_name,
              event_received_at, campaign_ref, status, last_status_code, attempts_made,
              delivered_at
)
SELECT * FROM stored;

ANALYZE load_postback;
