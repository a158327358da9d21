"""Keep the tests of rules that workers are to send, and their answers until a minute later."""

import django.db.models.deletion
from django.db import migrations, models

PROTECT = """
ALTER TABLE test_send ADD CONSTRAINT test_of_own_rule
    FOREIGN KEY (organization_id, rule_id) REFERENCES callback_rule (organization_id, id);
SELECT protect_tenant_table('test_send', 'SELECT, INSERT');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0015_say_what_keys_do'),
        ('postbacks', '0034_leave_room_for_updates'),
    ]

    operations = [
        migrations.CreateModel(
            name='TestSend',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(editable=False, unique=True)),
                ('rule_version', models.PositiveIntegerField(default=0)),
                ('definition', models.JSONField()),
                ('skips', models.JSONField(default=list)),
                ('sdk_event_id', models.UUIDField()),
                ('sealed', models.TextField(blank=True)),
                ('made_at', models.DateTimeField()),
                ('claimed_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('result', models.JSONField(null=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('rule', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.callbackrule')),
            ],
            options={
                'db_table': 'test_send',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(condition=models.Q(('claimed_at', None)), fields=['id'], name='test_send_to_claim')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
