"""Keep which version of its rule each attempt used, and which rules' queued postbacks must move.

All columns are null or have a constant default, so that no table is written anew.
"""

from django.db import migrations, models

FORWARD = """
ALTER TABLE delivery_attempt ADD COLUMN rule_version integer;
ALTER TABLE postback ADD COLUMN other_fingerprints jsonb;
ALTER TABLE due_postback ADD COLUMN pinned_version integer;
ALTER TABLE due_postback ALTER COLUMN host TYPE varchar(262);

-- 0: queued postbacks of every rule are looked at once, for their hosts have no port yet.
ALTER TABLE callback_rule ADD COLUMN queue_version integer NOT NULL DEFAULT 0
    CHECK (queue_version >= 0);
CREATE INDEX callback_rule_to_move ON callback_rule (id) WHERE queue_version <> version;

-- A person may have a skipped postback decided again, which may use a device's first time.
GRANT INSERT ON rule_device TO postbacks_web;
"""

BACKWARD = """
REVOKE INSERT ON rule_device FROM postbacks_web;
DROP INDEX callback_rule_to_move;
ALTER TABLE callback_rule DROP COLUMN queue_version;
UPDATE due_postback SET host = left(host, 255) WHERE length(host) > 255;
ALTER TABLE due_postback ALTER COLUMN host TYPE varchar(255);
ALTER TABLE due_postback DROP COLUMN pinned_version;
ALTER TABLE postback DROP COLUMN other_fingerprints;
ALTER TABLE delivery_attempt DROP COLUMN rule_version;
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0022_explain_rule_fields")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AddField(
                    model_name="deliveryattempt",
                    name="rule_version",
                    field=models.PositiveIntegerField(null=True),
                ),
                migrations.AddField(
                    model_name="postback",
                    name="other_fingerprints",
                    field=models.JSONField(null=True),
                ),
                migrations.AddField(
                    model_name="duepostback",
                    name="pinned_version",
                    field=models.PositiveIntegerField(null=True),
                ),
                migrations.AlterField(
                    model_name="duepostback",
                    name="host",
                    field=models.CharField(max_length=262),
                ),
                migrations.AddField(
                    model_name="callbackrule",
                    name="queue_version",
                    field=models.PositiveIntegerField(default=0, editable=False),
                ),
            ],
        )
    ]
