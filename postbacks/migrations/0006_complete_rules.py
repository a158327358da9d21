"""Keep what a rule says beyond its template: conditions, authentication, signature, limits.

Postbacks of rules with a limit are claimed apart from all others. Both indexes are partial, so that
a limited rule's backlog is never walked over, and costs other postbacks nothing.
"""

import django.core.validators
import django.db.models.deletion
import postbacks.models.rules
from django.db import migrations, models


FORWARD = """
ALTER TABLE due_postback ADD COLUMN paced boolean NOT NULL DEFAULT false;
DROP INDEX due_postback_by_time;
CREATE INDEX due_postback_by_time ON due_postback (due_at) WHERE NOT paced;
CREATE INDEX due_postback_by_rule_and_time ON due_postback (rule_id, due_at) WHERE paced;
CREATE INDEX due_postback_in_flight ON due_postback (rule_id)
    WHERE paced AND claim_id IS NOT NULL;
"""

BACKWARD = """
DROP INDEX due_postback_in_flight, due_postback_by_rule_and_time, due_postback_by_time;
ALTER TABLE due_postback DROP COLUMN paced;
CREATE INDEX due_postback_by_time ON due_postback (due_at);
"""

PROTECT = """
ALTER TABLE rule_pace ADD CONSTRAINT pace_of_own_rule
    FOREIGN KEY (organization_id, rule_id) REFERENCES callback_rule (organization_id, id);
SELECT protect_tenant_table('rule_pace', 'SELECT, INSERT, UPDATE');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0007_remember_template'),
        ('postbacks', '0005_find_installs_by_time'),
    ]

    operations = [
        migrations.AddField(
            model_name='callbackrule',
            name='authentication',
            field=models.JSONField(default=postbacks.models.rules.no_authentication, help_text='How the partner knows that it is us, for example {"type": "bearer", "credential": "api_key"}.'),
        ),
        migrations.AddField(
            model_name='callbackrule',
            name='conditions',
            field=models.JSONField(default=postbacks.models.rules.every_event, help_text='What an event must fulfil, for example {"all": [{"field": "country", "operator": "in", "value": ["DE", "AT"]}]}; "any" in place of "all": one of them is enough.'),
        ),
        migrations.AddField(
            model_name='callbackrule',
            name='max_in_flight',
            field=models.PositiveSmallIntegerField(blank=True, help_text='The most requests that run at the same time, for example 4. Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]),
        ),
        migrations.AddField(
            model_name='callbackrule',
            name='rate_limit_per_second',
            field=models.PositiveSmallIntegerField(blank=True, help_text='The most requests that start in one second, for example 20. Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]),
        ),
        migrations.AddField(
            model_name='callbackrule',
            name='sign',
            field=models.BooleanField(default=False, help_text='On: requests carry a signature as Standard Webhooks describes it.'),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AddField(
                    model_name='duepostback',
                    name='paced',
                    field=models.BooleanField(default=False),
                ),
            ],
        ),
        migrations.CreateModel(
            name='RulePace',
            fields=[
                ('rule', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='+', serialize=False, to='postbacks.callbackrule')),
                ('rate_limit_per_second', models.PositiveSmallIntegerField(null=True)),
                ('max_in_flight', models.PositiveSmallIntegerField(null=True)),
                ('next_at', models.DateTimeField()),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'rule_pace',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
