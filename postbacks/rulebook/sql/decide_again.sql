-- Decide a skipped postback again: the same row, by the version of its rule that decides it now.
UPDATE postback SET
    status = :'PostbackStatus.PENDING',
    reason = '',
    created_at = now(),  -- the rates that are known now count
    install_id = %(install)s,
    installed_at = %(installed_at)s,
    attribution_version = %(attribution_version)s,
    rule_version = %(version)s,
    -- `fingerprint` is of the version that decided.
    fingerprint = CASE WHEN rule_version = %(version)s THEN fingerprint
                       ELSE coalesce(other_fingerprints ->> %(version)s::integer::text, '') END,
    other_fingerprints = CASE
        WHEN rule_version = %(version)s OR fingerprint = '' THEN other_fingerprints
        ELSE coalesce(other_fingerprints, '{}')
             || jsonb_build_object(rule_version::text, fingerprint)
    END
WHERE organization_id = %(organization)s AND id = %(id)s AND event_received_at = %(received)s
  AND status = :'PostbackStatus.SKIPPED'
RETURNING id
