"""Keep what the SDK's doors refused for a week, as a bounded sample and as counters."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import uuid
from django.db import migrations, models


PROTECT = """
ALTER TABLE refused_event ADD CONSTRAINT refused_event_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
ALTER TABLE refusal_count ADD CONSTRAINT refusal_count_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
SELECT protect_tenant_table('refused_event', 'SELECT, INSERT');
SELECT protect_tenant_table('refusal_count', 'SELECT, INSERT, UPDATE');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0018_mask_old_filters'),
        ('postbacks', '0038_keep_figures'),
    ]

    operations = [
        migrations.CreateModel(
            name='RefusalCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('reason', models.CharField(choices=[('invalid_field', 'A field is wrong'), ('device_forgotten', 'The device was forgotten'), ('unreadable_body', "The body can't be read"), ('invalid_request', 'The request is wrong'), ('too_large', 'Too large'), ('key_revoked', 'The SDK key was revoked'), ('key_ended', 'The SDK key was rotated and has ended'), ('app_archived', 'The app is archived'), ('not_allowed', 'The SDK key may not do this'), ('too_fast', 'Too fast')], max_length=32)),
                ('pointer', models.CharField(blank=True, max_length=128)),
                ('sdk_version', models.CharField(blank=True, max_length=32)),
                ('refused', models.BigIntegerField(default=0)),
                ('kept', models.BigIntegerField(default=0, help_text='How many of them are in the list.')),
                ('app', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'refusal_count',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(fields=['day'], name='refusal_count_by_age')],
                'constraints': [models.UniqueConstraint(fields=('organization', 'day', 'app', 'reason', 'pointer', 'sdk_version'), name='one_refusal_count_per_day_and_reason')],
            },
        ),
        migrations.CreateModel(
            name='RefusedEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, verbose_name='ID')),
                ('received_at', models.DateTimeField()),
                ('door', models.CharField(choices=[('events', 'Events'), ('touchpoints', 'Touchpoints'), ('tenjin', "Tenjin's API"), ('forget-device', 'Forget a device')], max_length=16)),
                ('status_code', models.PositiveSmallIntegerField(help_text='Of the answer to the whole request.')),
                ('index', models.PositiveIntegerField(help_text='The place in its request, from 0; null for a whole request.', null=True)),
                ('reason', models.CharField(choices=[('invalid_field', 'A field is wrong'), ('device_forgotten', 'The device was forgotten'), ('unreadable_body', "The body can't be read"), ('invalid_request', 'The request is wrong'), ('too_large', 'Too large'), ('key_revoked', 'The SDK key was revoked'), ('key_ended', 'The SDK key was rotated and has ended'), ('app_archived', 'The app is archived'), ('not_allowed', 'The SDK key may not do this'), ('too_fast', 'Too fast')], max_length=32)),
                ('pointer', models.CharField(blank=True, max_length=128)),
                ('event_name', models.CharField(blank=True, max_length=64)),
                ('sdk_version', models.CharField(blank=True, max_length=32)),
                ('errors', models.JSONField(default=list, help_text='As the caller read them.')),
                ('content', models.TextField(blank=True, help_text='What arrived; personal values are masked.')),
                ('is_cut', models.BooleanField(default=False)),
                ('keys', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ('app', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('sdk_key', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.sdkkey')),
            ],
            options={
                'verbose_name': 'refused event',
                'db_table': 'refused_event',
                'ordering': ['-received_at', '-id'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(fields=['organization', '-received_at', '-id'], name='refused_event_by_time'), models.Index(fields=['organization', 'public_id'], name='refused_event_by_public_id'), models.Index(fields=['received_at'], name='refused_event_by_age'), django.contrib.postgres.indexes.GinIndex(fields=['keys'], name='refused_event_by_key')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
