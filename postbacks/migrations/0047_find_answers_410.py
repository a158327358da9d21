"""Find the answers 410 that suspended a rule, whatever else an organization has failed since.

The index costs other attempts nothing: they are never in it, and no attempt is updated.
"""

from django.db import migrations

FORWARD = """
CREATE INDEX delivery_attempt_gone
    ON delivery_attempt (organization_id, started_at) WHERE status_code = 410;
"""

BACKWARD = "DROP INDEX delivery_attempt_gone;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0046_count_tries_of_jobs")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
