"""Find installs by the id that an app's SDK made, as programs ask for them."""

from django.db import migrations

FORWARD = """
CREATE INDEX install_by_install_id ON install (organization_id, install_id)
    WHERE install_id <> '';
"""
BACKWARD = "DROP INDEX install_by_install_id;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0016_forget_devices")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
