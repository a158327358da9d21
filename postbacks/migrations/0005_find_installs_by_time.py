"""Find an organization's newest installs, and those of a stretch of time, in order of arrival."""

from django.db import migrations

FORWARD = "CREATE INDEX install_by_time ON install (organization_id, event_received_at, id);"
BACKWARD = "DROP INDEX install_by_time;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0004_find_what_failed")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
