"""Drop references to organizations that others imply, from the tables of the hot path.

A row of these refers to an app, a rule or an install of its organization, by both ids, and that one
refers to the organization. PostgreSQL looked each reference up again for each row: of what storing
an event takes, a quarter. A key of an event is written by the statement that writes the event.
"""

from django.db import migrations

FORWARD = """
ALTER TABLE event DROP CONSTRAINT event_organization_id_fkey;
ALTER TABLE event_key DROP CONSTRAINT event_key_organization_id_fkey;
ALTER TABLE postback DROP CONSTRAINT postback_organization_id_fkey;
ALTER TABLE touchpoint DROP CONSTRAINT touchpoint_organization_id_fkey;
ALTER TABLE attribution DROP CONSTRAINT attribution_organization_id_fkey;
"""

BACKWARD = """
ALTER TABLE event ADD CONSTRAINT event_organization_id_fkey
    FOREIGN KEY (organization_id) REFERENCES organization (id);
ALTER TABLE event_key ADD CONSTRAINT event_key_organization_id_fkey
    FOREIGN KEY (organization_id) REFERENCES organization (id);
ALTER TABLE postback ADD CONSTRAINT postback_organization_id_fkey
    FOREIGN KEY (organization_id) REFERENCES organization (id);
ALTER TABLE touchpoint ADD CONSTRAINT touchpoint_organization_id_fkey
    FOREIGN KEY (organization_id) REFERENCES organization (id);
ALTER TABLE attribution ADD CONSTRAINT attribution_organization_id_fkey
    FOREIGN KEY (organization_id) REFERENCES organization (id);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0043_compare_partners_lists'),
    ]

    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
