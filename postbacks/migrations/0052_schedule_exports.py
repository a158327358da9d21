"""Export lists each hour or day, to a store or the operator's folder."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


PROTECT = """
ALTER TABLE export ADD CONSTRAINT export_of_own_schedule
    FOREIGN KEY (organization_id, schedule_id) REFERENCES export_schedule (organization_id, id);
SELECT protect_tenant_table('export_schedule', 'SELECT, INSERT, UPDATE, DELETE');
"""
RELEASE = "ALTER TABLE export DROP CONSTRAINT export_of_own_schedule;"


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0018_mask_old_filters'),
        ('postbacks', '0051_save_views'),
    ]

    operations = [
        migrations.AddField(
            model_name='export',
            name='delivery_tries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='export',
            name='folder_path',
            field=models.CharField(blank=True, db_default='', default='', max_length=512),
        ),
        migrations.AddField(
            model_name='export',
            name='is_written',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='export',
            name='key',
            field=models.CharField(blank=True, db_default='', default='', max_length=512),
        ),
        migrations.AddField(
            model_name='export',
            name='next_try_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='export',
            name='period_end',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='export',
            name='period_start',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='export',
            name='upload_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=1024),
        ),
        migrations.AddField(
            model_name='export',
            name='upload_parts',
            field=models.JSONField(default=list),
        ),
        migrations.CreateModel(
            name='ExportSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, max_length=4)),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True, verbose_name='ID in the API')),
                ('name', models.CharField(help_text='It becomes the folder of the files, for example “Purchases”: purchases/.', max_length=64)),
                ('folder', models.CharField(editable=False, max_length=64)),
                ('list_name', models.CharField(choices=[('events', 'Events'), ('postbacks', 'Postbacks, as they are when the file is made'), ('installs', 'Installs with their attribution'), ('touchpoints', 'Clicks and impressions'), ('skan-postbacks', 'SKAdNetwork and AdAttributionKit copies'), ('refused-events', 'Refused events'), ('audit-log', 'Audit log')], default='events', help_text='Whose rows are exported, with the columns of the API.', max_length=64, verbose_name='list')),
                ('filters', models.TextField(blank=True, help_text="As in the API's address, for example event_name=purchase. Empty: all rows.", max_length=1000)),
                ('format', models.CharField(choices=[('csv', 'CSV'), ('jsonl', 'JSON Lines'), ('parquet', 'Parquet')], default='csv', help_text='CSV for most, Parquet for DuckDB and BigQuery.', max_length=8)),
                ('interval', models.CharField(choices=[('hourly', 'Every hour'), ('daily', 'Every day')], default='daily', help_text="A day is one of your organization's time zone. Its file is made ten minutes after its end.", max_length=8, verbose_name='how often')),
                ('target', models.CharField(choices=[('s3', "A store of S3's API"), ('folder', "The operator's folder")], default='s3', help_text="Amazon S3, Cloudflare R2, MinIO, Google's storage with HMAC keys and the like.", max_length=8, verbose_name='where to')),
                ('endpoint', models.CharField(blank=True, help_text="The store's, for example https://s3.eu-central-1.amazonaws.com.", max_length=255, verbose_name='address')),
                ('region', models.CharField(blank=True, default='us-east-1', help_text='As the store names it, for example eu-central-1; for R2 it is auto.', max_length=64, validators=[django.core.validators.RegexValidator('^[a-z0-9-]+$', 'A region is written like eu-central-1.')])),
                ('bucket', models.CharField(blank=True, help_text='For example gem-harbor-analytics.', max_length=63, validators=[django.core.validators.RegexValidator('^[a-z0-9][a-z0-9.-]+[a-z0-9]$', "A bucket's name has 3 to 63 small letters, digits, dots and hyphens.")])),
                ('prefix', models.CharField(blank=True, help_text='What all names in the bucket begin with, for example raw/postbacks/. May be empty.', max_length=200, validators=[django.core.validators.RegexValidator('^(?!.*(^|/)\\.{0,2}/)[A-Za-z0-9._=/-]+/$', 'A prefix has letters, digits and . _ = - in parts that end with a slash, for example raw/postbacks/.')])),
                ('access_key_id', models.CharField(blank=True, help_text='Of a user of the store who may write there and nothing else.', max_length=128, validators=[django.core.validators.RegexValidator('^[!-+0-~.-]+$', 'An access key ID has no blanks, commas or slashes.')], verbose_name='access key ID')),
                ('enabled', models.BooleanField(default=True, help_text='Off: no file is made.', verbose_name='on')),
                ('created_by', models.CharField(blank=True, editable=False, max_length=255)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('next_period_at', models.DateTimeField(editable=False)),
                ('due_at', models.DateTimeField(editable=False)),
                ('failing_since', models.DateTimeField(editable=False, null=True)),
                ('notified_at', models.DateTimeField(editable=False, null=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'scheduled export',
                'db_table': 'export_schedule',
                'ordering': ['-id'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.AddField(
            model_name='export',
            name='schedule',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.exportschedule'),
        ),
        migrations.AddIndex(
            model_name='export',
            index=models.Index(condition=models.Q(('schedule__isnull', False)), fields=['schedule', 'period_start', 'id'], name='export_by_schedule'),
        ),
        migrations.AddIndex(
            model_name='export',
            index=models.Index(condition=models.Q(('upload_id', ''), _negated=True), fields=['id'], name='export_with_upload'),
        ),
        migrations.AddIndex(
            model_name='exportschedule',
            index=models.Index(condition=models.Q(('enabled', True)), fields=['due_at'], name='export_schedule_due'),
        ),
        migrations.AddIndex(
            model_name='exportschedule',
            index=models.Index(condition=models.Q(('failing_since__isnull', False), ('notified_at', None)), fields=['id'], name='export_schedule_to_tell'),
        ),
        migrations.AddConstraint(
            model_name='exportschedule',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='export_schedule_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='exportschedule',
            constraint=models.UniqueConstraint(fields=('organization', 'folder'), name='one_export_schedule_per_folder', violation_error_message='Another schedule has this name: its files would mix.'),
        ),
        migrations.RunSQL(PROTECT, RELEASE),
    ]
