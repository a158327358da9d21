"""Keep dry runs over many events, which workers do, and their outcomes for an hour."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

PROTECT = """
ALTER TABLE dry_run_job ADD CONSTRAINT dry_run_of_own_rule
    FOREIGN KEY (organization_id, rule_id) REFERENCES callback_rule (organization_id, id);
SELECT protect_tenant_table('dry_run_job', 'SELECT, INSERT, UPDATE, DELETE');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0015_say_what_keys_do'),
        ('postbacks', '0035_send_tests_in_workers'),
    ]

    operations = [
        migrations.CreateModel(
            name='DryRunJob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('definition', models.JSONField()),
                ('since', models.DateTimeField()),
                ('created_at', models.DateTimeField()),
                ('claimed_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('cancelled_at', models.DateTimeField(null=True)),
                ('out_of_time', models.BooleanField(default=False)),
                ('total', models.PositiveIntegerField(default=0)),
                ('done', models.PositiveIntegerField(default=0)),
                ('is_complete', models.BooleanField(default=True)),
                ('would_send', models.PositiveIntegerField(default=0)),
                ('skipped', models.JSONField(default=dict)),
                ('not_matched', models.JSONField(default=dict)),
                ('examples', models.JSONField(default=list)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('rule', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.callbackrule')),
            ],
            options={
                'verbose_name': 'dry run',
                'db_table': 'dry_run_job',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(condition=models.Q(('finished_at', None)), fields=['id'], name='dry_run_job_to_work_on')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
