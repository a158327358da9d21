-- Make credits final, and delete the identifiers that only find late touchpoints.
WITH closed AS (
    DELETE FROM unsettled_install WHERE install_id = ANY(%(ids)s::bigint[]) RETURNING install_id
), unnamed AS (
    DELETE FROM install_key USING closed
    WHERE install_key.install_id = closed.install_id AND NOT lasting
)
UPDATE install SET state = :'InstallState.FINAL' FROM closed WHERE install.id = closed.install_id
