"""Keep since when a rule fails and how many postbacks were given up, for its suspension."""

import django.db.models.deletion
from django.db import migrations, models

PROTECT = """
ALTER TABLE rule_failure ADD CONSTRAINT failure_of_own_rule
    FOREIGN KEY (organization_id, rule_id) REFERENCES callback_rule (organization_id, id);
CREATE INDEX rule_failure_going_on ON rule_failure (rule_id) WHERE failing_since IS NOT NULL;
SELECT protect_tenant_table('rule_failure', 'SELECT');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0015_say_what_keys_do'),
        ('postbacks', '0029_replay_postbacks'),
    ]

    operations = [
        migrations.CreateModel(
            name='RuleFailure',
            fields=[
                ('rule', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='failure', serialize=False, to='postbacks.callbackrule')),
                ('version', models.PositiveIntegerField()),
                ('failing_since', models.DateTimeField(null=True)),
                ('given_up', models.PositiveIntegerField(default=0)),
                ('warned', models.PositiveSmallIntegerField(default=0)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'rule_failure',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
