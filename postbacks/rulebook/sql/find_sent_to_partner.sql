-- Find what was delivered to a partner, newest first, with the IDs by which its list may name it.
SELECT sent.id, sent.public_id, sent.sdk_event_id, sent.event_received_at, sent.event_name,
       sent.delivered_at, sent.last_status_code, event.revenue, event.currency,
       event.fields ->> 'transaction_id' AS transaction_id, click.click_id
FROM (
    SELECT * FROM postback
    WHERE organization_id = %(organization)s AND rule_id = ANY(%(rules)s::bigint[])
      AND status = :'PostbackStatus.DELIVERED' AND NOT test
      AND (%(event_name)s = '' OR event_name = %(event_name)s)
      AND event_received_at >= %(since)s AND event_received_at <= %(reached_at)s
      AND (event_received_at, id) < (%(reached_at)s, %(reached_id)s)
    ORDER BY event_received_at DESC, id DESC LIMIT %(most)s
) AS sent
LEFT JOIN event ON event.organization_id = %(organization)s AND event.id = sent.event_id
    AND event.received_at = sent.event_received_at
LEFT JOIN install ON install.organization_id = %(organization)s AND install.id = sent.install_id
LEFT JOIN touchpoint AS click ON click.organization_id = %(organization)s
    AND click.public_id = install.touchpoint
ORDER BY sent.event_received_at DESC, sent.id DESC
