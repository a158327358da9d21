"""Find the install that was credited to a touchpoint by a guess: no other may be."""

from django.db import migrations

FORWARD = """
CREATE INDEX install_by_guess ON install (organization_id, touchpoint)
    WHERE method = 'probabilistic';
"""
BACKWARD = "DROP INDEX install_by_guess;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0019_shorten_events_addresses")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
