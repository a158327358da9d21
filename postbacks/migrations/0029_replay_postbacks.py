"""Keep replays: what was asked for, how far each rule's share is, and what is on its way."""

import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models

PROTECT = """
ALTER TABLE replay_part
    ADD CONSTRAINT part_of_own_replay
        FOREIGN KEY (organization_id, replay_id) REFERENCES replay (organization_id, id),
    ADD CONSTRAINT part_of_own_rule
        FOREIGN KEY (organization_id, rule_id) REFERENCES callback_rule (organization_id, id);
ALTER TABLE replayed_postback ADD CONSTRAINT replayed_by_own_part
    FOREIGN KEY (organization_id, part_id) REFERENCES replay_part (organization_id, id);
SELECT protect_tenant_table('replay', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('replay_part', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('replayed_postback', 'SELECT');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0015_say_what_keys_do'),
        ('postbacks', '0028_keep_pumps_claims'),
    ]

    operations = [
        migrations.CreateModel(
            name='Replay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('filter', models.JSONField(default=dict)),
                ('postback_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ('as_decided', models.BooleanField(default=False)),
                ('include_delivered', models.BooleanField(default=False)),
                ('per_second', models.PositiveIntegerField(default=50)),
                ('count', models.PositiveIntegerField(default=0)),
                ('fingerprint', models.CharField(max_length=64)),
                ('asked_by', models.CharField(blank=True, max_length=255)),
                ('next_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('cancelled_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'replay',
                'db_table': 'replay',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='ReplayPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('count', models.PositiveIntegerField()),
                ('after_event', models.BigIntegerField(default=0)),
                ('after_attribution', models.PositiveIntegerField(default=0)),
                ('is_through', models.BooleanField(default=False)),
                ('queued', models.PositiveIntegerField(default=0)),
                ('retrying', models.PositiveIntegerField(default=0)),
                ('held', models.PositiveIntegerField(default=0)),
                ('sent', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('skipped', models.JSONField(default=dict)),
                ('taken_back', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('replay', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='parts', related_query_name='part', to='postbacks.replay')),
                ('rule', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.callbackrule')),
            ],
            options={
                'db_table': 'replay_part',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='ReplayedPostback',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_received_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('queued', 'Its first try by the replay'), ('retrying', 'Another try'), ('held', 'Its suspended rule')], default='queued', max_length=8)),
                ('status_before', models.CharField(max_length=16)),
                ('reason_before', models.CharField(blank=True, max_length=64)),
                ('attempts_before', models.PositiveIntegerField()),
                ('look_at', models.DateTimeField()),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('postback', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.postback')),
                ('part', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='postbacks.replaypart')),
            ],
            options={
                'db_table': 'replayed_postback',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.AddConstraint(
            model_name='replay',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='replay_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='replay',
            constraint=models.UniqueConstraint(condition=models.Q(('finished_at', None)), fields=('organization', 'fingerprint'), name='one_running_replay_per_request'),
        ),
        migrations.AddIndex(
            model_name='replaypart',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['due_at'], name='replay_part_due'),
        ),
        migrations.AddConstraint(
            model_name='replaypart',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='part_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='replaypart',
            constraint=models.UniqueConstraint(fields=('organization', 'replay', 'rule'), name='one_part_per_replay_and_rule'),
        ),
        migrations.AddIndex(
            model_name='replayedpostback',
            index=models.Index(fields=['look_at'], name='replayed_postback_to_look_at'),
        ),
        migrations.AddConstraint(
            model_name='replayedpostback',
            constraint=models.UniqueConstraint(fields=('organization', 'part', 'postback'), name='one_postback_per_replay'),
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
