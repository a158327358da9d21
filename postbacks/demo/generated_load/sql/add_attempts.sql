-- Write the attempts of postbacks: all but the last were answered 503.
CREATE TEMP TABLE load_attempt ON COMMIT DROP AS
SELECT postback.id AS postback_id, postback.organization_id, app_id, rule_id, campaign_ref,
       event_name, event_received_at, sdk_event_id, attempt.number,
       event_received_at + interval '30 ms' + (attempt.number - 1) * interval '5 seconds'
           AS started_at,
       10 + mod(postback.id, 400)::integer AS duration_ms,
       CASE WHEN attempt.number < attempts_made THEN :'Outcome.RETRY'
           WHEN status = :'PostbackStatus.FAILED' THEN :'Outcome.FAILED'
           ELSE :'Outcome.DELIVERED' END AS outcome,
       CASE WHEN attempt.number < attempts_made THEN 503 ELSE last_status_code END AS status_code
FROM load_postback AS postback
CROSS JOIN LATERAL generate_series(1, attempts_made) AS attempt (number);

INSERT INTO delivery_attempt (
    organization_id, postback_id, event_received_at, number, rule_version, kind, started_at,
    duration_ms, outcome, status_code, error, detail, request, response
)
SELECT organization_id, postback_id, event_received_at, number, 1, :'AttemptKind.AUTO', started_at,
       duration_ms, outcome, status_code,
       CASE status_code WHEN 200 THEN '' ELSE 'http_' || status_code END, '',
       jsonb_build_object(
           'method', 'GET', 'body', NULL, 'headers',
           jsonb_build_object('User-Agent', 'Postbacks', 'Idempotency-Key', sdk_event_id),
           'url', 'https://network.load.example/postback?event=' || event_name || '&id='
               || sdk_event_id),
       jsonb_build_object('headers', jsonb_build_object('Content-Type', 'text/plain'),
                          'body', CASE status_code WHEN 200 THEN 'OK' ELSE 'Try later' END)
FROM load_attempt ORDER BY event_received_at, postback_id, number;
