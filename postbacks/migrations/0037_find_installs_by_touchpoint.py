"""Find the installs that a touchpoint earned, whatever recognized them."""

from django.db import migrations

FORWARD = """
CREATE INDEX install_by_touchpoint ON install (organization_id, touchpoint)
    WHERE touchpoint IS NOT NULL;
DROP INDEX install_by_guess;
"""
BACKWARD = """
CREATE INDEX install_by_guess ON install (organization_id, touchpoint)
    WHERE method = 'probabilistic';
DROP INDEX install_by_touchpoint;
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0036_try_rules_in_the_background")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
