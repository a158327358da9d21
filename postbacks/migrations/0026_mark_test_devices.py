"""Keep the marks of test devices, which the fraud checks leave alone for some days."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


PROTECT = "SELECT protect_tenant_table('test_device', 'SELECT, INSERT, DELETE');"


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0015_say_what_keys_do'),
        ('postbacks', '0025_keep_longer_click_ids'),
    ]

    operations = [
        migrations.CreateModel(
            name='TestDevice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, help_text='How the management API names this test device.', unique=True, verbose_name='ID in the API')),
                ('name', models.CharField(help_text="By which your team knows the device, for example Anna's Pixel 8.", max_length=100)),
                ('kind', models.CharField(editable=False, max_length=32, verbose_name='kind of ID')),
                ('key', models.UUIDField(editable=False)),
                ('ending', models.CharField(blank=True, editable=False, max_length=4, verbose_name="ID's ending")),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('ends_at', models.DateTimeField(editable=False, verbose_name='ends')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'test device',
                'db_table': 'test_device',
                'ordering': ['-id'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(fields=['ends_at'], name='test_device_by_end')],
                'constraints': [models.UniqueConstraint(fields=('organization', 'key'), name='one_mark_per_test_device')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
