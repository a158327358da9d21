"""Count what each rule takes of its organization's room."""

from django.db import migrations, models

# As its definition's bytes: lists are counted exactly with the rule's next save.
COUNT = """
ALTER TABLE callback_rule NO FORCE ROW LEVEL SECURITY;
ALTER TABLE callback_rule_version NO FORCE ROW LEVEL SECURITY;
UPDATE callback_rule SET counted_bytes = octet_length(version.definition::text)
FROM callback_rule_version AS version
WHERE version.organization_id = callback_rule.organization_id
    AND version.rule_id = callback_rule.id AND version.number = callback_rule.version;
ALTER TABLE callback_rule FORCE ROW LEVEL SECURITY;
ALTER TABLE callback_rule_version FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):

    dependencies = [('postbacks', '0032_decide_in_turns')]

    operations = [
        migrations.AddField(
            'callbackrule', 'counted_bytes', models.PositiveIntegerField(editable=False, default=0)
        ),
        # While old and new processes run side by side, the old ones make rules without it.
        migrations.RunSQL(
            "ALTER TABLE callback_rule ALTER COLUMN counted_bytes SET DEFAULT 0",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
