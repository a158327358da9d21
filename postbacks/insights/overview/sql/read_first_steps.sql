-- Read which of the first steps an organization has done
-- Event keys stand in for events: they are in one table, events in one for each day.
SELECT
    EXISTS (SELECT FROM app WHERE organization_id = %(organization)s
        AND status = :'Lifecycle.ACTIVE') AS app,
    EXISTS (SELECT FROM partner WHERE organization_id = %(organization)s
        AND status = :'Lifecycle.ACTIVE') AS partner,
    EXISTS (SELECT FROM callback_rule WHERE organization_id = %(organization)s
        AND status <> :'RuleStatus.ARCHIVED') AS rule,
    EXISTS (SELECT FROM sdk_key
        WHERE organization_id = %(organization)s AND revoked_at IS NULL) AS sdk_key,
    EXISTS (SELECT FROM event_key WHERE organization_id = %(organization)s) AS event,
    coalesce((SELECT platform FROM app WHERE organization_id = %(organization)s
        AND status = :'Lifecycle.ACTIVE' ORDER BY id DESC LIMIT 1), '') AS platform
