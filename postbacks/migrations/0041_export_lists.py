"""Keep exports of lists, which workers write into files."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0018_mask_old_filters'),
        ('postbacks', '0040_find_attempts_by_arrival'),
    ]

    operations = [
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('door', models.CharField(choices=[('api', "The API's list"), ('page', "The page's list")], max_length=8)),
                ('list_name', models.CharField(max_length=64)),
                ('title', models.CharField(max_length=64)),
                ('holds_devices', models.BooleanField(default=True)),
                ('format', models.CharField(choices=[('csv', 'CSV'), ('jsonl', 'JSON Lines')], max_length=8)),
                ('filters', models.TextField(blank=True)),
                ('asked_by', models.CharField(blank=True, max_length=255)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('worked_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('running', 'Running'), ('finished', 'Ready'), ('cancelled', 'Cancelled'), ('failed', 'Failed'), ('erased', 'Deleted by an erasure')], default='running', max_length=16)),
                ('failure', models.CharField(blank=True, max_length=255)),
                ('finished_at', models.DateTimeField(null=True)),
                ('run', models.PositiveIntegerField(default=1)),
                ('file_name', models.CharField(max_length=64)),
                ('reached_id', models.BigIntegerField(null=True)),
                ('reached_at', models.DateTimeField(null=True)),
                ('rows', models.PositiveBigIntegerField(default=0)),
                ('size', models.PositiveBigIntegerField(default=0)),
                ('percent', models.PositiveSmallIntegerField(default=0)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'export',
                'db_table': 'export',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(condition=models.Q(('status', 'running')), fields=['worked_at'], name='export_to_work_on'), models.Index(fields=['organization', 'created_at', 'id'], name='export_in_order')],
            },
        ),
        migrations.RunSQL(
            "SELECT protect_tenant_table('export', 'SELECT, INSERT, UPDATE, DELETE');",
            migrations.RunSQL.noop,
        ),
    ]
