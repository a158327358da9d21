-- Of identifiers with many touchpoints, find the newest of each sender, the smallest senders first.
WITH deep AS (
    SELECT search.number, search.organization_id, searched.key, search.per_sender, search.most,
           match.touchpoint_id, match.received_at, match.kind, match.occurred_at
    FROM jsonb_to_recordset(%(searches)s::jsonb) AS search (
        number integer, organization_id bigint, app_id bigint, keys uuid[],
        first timestamptz, last timestamptz, most integer, per_sender integer
    )
    CROSS JOIN unnest(search.keys) AS searched (key)
    CROSS JOIN LATERAL (
        SELECT touchpoint_id, received_at, kind, occurred_at FROM touchpoint_key
        WHERE organization_id = search.organization_id AND app_id = search.app_id
          AND key = searched.key AND occurred_at BETWEEN search.first AND search.last
        ORDER BY occurred_at DESC LIMIT %(deepest)s
    ) AS match
), sent AS (
    SELECT deep.*, ROW(
               deep.number, deep.key, deep.kind, t.link_id, t.partner_id, t.source, t.sender,
               t.signature, CASE WHEN t.source = 'link' THEN (  -- the network of who opened it
                   SELECT name FROM jsonb_array_elements_text(t.names) AS name
                   WHERE starts_with(name, 'ip:') LIMIT 1
               ) END
           ) AS sender
    FROM deep
    CROSS JOIN LATERAL (
        SELECT link_id, partner_id, source, sender, signature, names FROM touchpoint
        WHERE organization_id = deep.organization_id AND kind = deep.kind
          AND id = deep.touchpoint_id AND received_at = deep.received_at
        LIMIT 1
    ) AS t
), counted AS (
    SELECT sent.*, count(*) OVER by_sender AS size,
           row_number() OVER (by_sender ORDER BY occurred_at DESC) AS place
    FROM sent WINDOW by_sender AS (PARTITION BY sender)
), ranked AS (
    SELECT counted.*, row_number() OVER (
               PARTITION BY number, key ORDER BY size, occurred_at DESC
           ) AS rank
    FROM counted WHERE place <= per_sender
)
SELECT number, touchpoint_id, received_at, kind, organization_id, key
FROM ranked WHERE rank <= most
