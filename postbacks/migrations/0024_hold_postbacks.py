"""Keep the postbacks of suspended rules out of the queue, and the jobs that send or drop them."""

import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models


HOLD = """
CREATE TABLE held_postback (
    postback_id bigint PRIMARY KEY,
    organization_id bigint NOT NULL,
    event_received_at timestamptz(3) NOT NULL,
    rule_id bigint NOT NULL,
    kind varchar(8) NOT NULL,
    due_at timestamptz NOT NULL,
    tries integer NOT NULL,
    pinned_version integer,
    reason varchar(16) NOT NULL,
    held_at timestamptz NOT NULL,
    CONSTRAINT held_for_own_rule FOREIGN KEY (organization_id, rule_id)
        REFERENCES callback_rule (organization_id, id)
);
-- Jobs take a rule's oldest first. Expiry goes by time, and only for suspended rules.
CREATE INDEX held_postback_by_rule ON held_postback (rule_id, reason, postback_id);
CREATE INDEX held_postback_by_age ON held_postback (held_at) WHERE reason = 'rule_suspended';
SELECT protect_tenant_table('held_postback', 'SELECT, DELETE');
"""
PROTECT = """
ALTER TABLE postback_job ADD CONSTRAINT job_of_own_rule
    FOREIGN KEY (organization_id, rule_id) REFERENCES callback_rule (organization_id, id);
SELECT protect_tenant_table('postback_job', 'SELECT, INSERT, UPDATE');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0014_explain_fields'),
        ('postbacks', '0023_follow_corrected_rules'),
    ]

    operations = [
        migrations.AddField(
            model_name='callbackrule',
            name='judged_since',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(HOLD, "DROP TABLE held_postback;")],
            state_operations=[
                migrations.CreateModel(
                    name='HeldPostback',
                    fields=[
                        ('postback', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='held', serialize=False, to='postbacks.postback')),
                        ('event_received_at', models.DateTimeField()),
                        ('kind', models.CharField(choices=[('auto', 'Automatic'), ('test', 'Test send'), ('resend', 'Resend'), ('replay', 'Replay')], default='auto', max_length=8)),
                        ('due_at', models.DateTimeField()),
                        ('tries', models.PositiveIntegerField(default=0)),
                        ('pinned_version', models.PositiveIntegerField(null=True)),
                        ('reason', models.CharField(choices=[('rule_suspended', 'Its rule was suspended; somebody sends or drops it'), ('rule_off', 'Its rule is off; it is sent once the rule is switched on')], max_length=16)),
                        ('held_at', models.DateTimeField()),
                        ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                        ('rule', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.callbackrule')),
                    ],
                    options={
                        'db_table': 'held_postback',
                        'abstract': False,
                        'base_manager_name': 'objects',
                        'default_manager_name': 'objects',
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name='PostbackJob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('action', models.CharField(choices=[('send', 'Send'), ('drop', 'Drop')], max_length=8)),
                ('reason', models.CharField(choices=[('rule_suspended', 'Its rule was suspended; somebody sends or drops it'), ('rule_off', 'Its rule is off; it is sent once the rule is switched on')], max_length=16)),
                ('total', models.PositiveIntegerField(default=0)),
                ('done', models.PositiveIntegerField(default=0)),
                ('queued_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('due_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('rule', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.callbackrule')),
            ],
            options={
                'db_table': 'postback_job',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(condition=models.Q(('finished_at', None)), fields=['due_at'], name='postback_job_due')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('finished_at', None)), fields=('organization', 'rule', 'reason'), name='one_running_job_per_rule_and_reason')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
