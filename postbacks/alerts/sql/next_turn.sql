-- Take the turn of the organization whose alerts were judged longest ago, if it is due.
WITH next AS (
    SELECT id FROM alert_turn WHERE judged_at <= %(before)s
    ORDER BY judged_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE alert_turn AS turn SET judged_at = %(now)s
FROM next WHERE turn.id = next.id
RETURNING turn.organization_id, turn.after_id
