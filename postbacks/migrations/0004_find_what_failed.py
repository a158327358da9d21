"""Find the newest attempts that did not deliver without reading those that did.

The index costs a delivered attempt nothing: such a row is never in it, and no attempt is updated.
"""

from django.db import migrations

FORWARD = """
CREATE INDEX delivery_attempt_not_delivered
    ON delivery_attempt (organization_id, event_received_at, id) WHERE outcome <> 'delivered';
"""

BACKWARD = "DROP INDEX delivery_attempt_not_delivered;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0003_show_in_log")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
