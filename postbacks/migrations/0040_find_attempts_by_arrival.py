"""Find an organization's newest attempts, also of events that arrived days before.

A live page asks each second for what came since. Ids only rise, so a new row goes to the end of its
organization's part of the index.
"""

from django.db import migrations

FORWARD = "CREATE INDEX delivery_attempt_by_arrival ON delivery_attempt (organization_id, id);"
BACKWARD = "DROP INDEX delivery_attempt_by_arrival;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0039_keep_refused_events")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
