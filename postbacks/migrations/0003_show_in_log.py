"""Keep beside each postback what its list shows and filters by: event name and last answer."""

from django.db import migrations, models

# The owner is under the policies too; for the length of this transaction it is not, so that it
# can fill the new columns of every organization.
FORWARD = """
ALTER TABLE postback
    ADD COLUMN event_name varchar(64) NOT NULL DEFAULT '',
    ADD COLUMN last_status_code smallint;

ALTER TABLE event NO FORCE ROW LEVEL SECURITY;
ALTER TABLE postback NO FORCE ROW LEVEL SECURITY;
ALTER TABLE delivery_attempt NO FORCE ROW LEVEL SECURITY;

UPDATE postback SET event_name = event.event_name
FROM event
WHERE event.organization_id = postback.organization_id
  AND event.received_at = postback.event_received_at AND event.id = postback.event_id;

UPDATE postback SET last_status_code = delivery_attempt.status_code
FROM delivery_attempt
WHERE delivery_attempt.organization_id = postback.organization_id
  AND delivery_attempt.event_received_at = postback.event_received_at
  AND delivery_attempt.postback_id = postback.id
  AND delivery_attempt.number = postback.attempts_made;

ALTER TABLE event FORCE ROW LEVEL SECURITY;
ALTER TABLE postback FORCE ROW LEVEL SECURITY;
ALTER TABLE delivery_attempt FORCE ROW LEVEL SECURITY;
"""

BACKWARD = "ALTER TABLE postback DROP COLUMN event_name, DROP COLUMN last_status_code;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0002_create_logs")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AddField("postback", "event_name", models.CharField(blank=True, max_length=64)),
                migrations.AddField("postback", "last_status_code", models.PositiveSmallIntegerField(null=True)),
            ],
        )
    ]
