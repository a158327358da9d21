"""Find events by a person's own ID and by a transaction, and Apple's copies by theirs.

The log of events was read from its newest end until enough matched.
"""

from django.db import migrations, models

FORWARD = """
CREATE INDEX event_by_customer ON event (organization_id, customer_user_id, received_at)
    WHERE customer_user_id <> '';
CREATE INDEX event_by_transaction ON event (organization_id, (fields ->> 'transaction_id'))
    WHERE (fields ->> 'transaction_id') IS NOT NULL;
"""
BACKWARD = """
DROP INDEX event_by_customer;
DROP INDEX event_by_transaction;
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0044_refer_to_organizations_once")]

    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AddIndex(
            model_name="skanpostback",
            index=models.Index(
                fields=["organization", "transaction_id"], name="skan_by_transaction"
            ),
        ),
    ]
