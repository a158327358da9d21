-- Lease the install that has been due longest to be asked about, with its organization's partner.
WITH due AS (
    SELECT install_id FROM adservices_claim WHERE due_at <= now()
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE adservices_claim SET due_at = now() + %(lease)s * interval '1 second', tries = tries + 1
    FROM due WHERE adservices_claim.install_id = due.install_id
    RETURNING adservices_claim.install_id, tries, ends_at > now() AS is_alive
)
SELECT i.id AS install_id, i.public_id::text, i.installed_at, i.event_ref, i.event_received_at,
       leased.tries, leased.is_alive, (
           SELECT id FROM partner
           WHERE organization_id = i.organization_id AND status = :'Lifecycle.ACTIVE'
               AND lower(name) = lower(%(partner)s)
           ORDER BY id LIMIT 1
       ) AS partner_id
FROM leased JOIN install AS i ON i.id = leased.install_id
