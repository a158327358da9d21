"""Keep the secrets with which postbacks are signed."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0005_scope_tokens'),
    ]

    operations = [
        migrations.CreateModel(
            name='SigningSecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('sealed', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, max_length=4)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('expires_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='valid until')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'signing secret',
                'db_table': 'signing_secret',
                'ordering': ['-id'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(condition=models.Q(('expires_at', None)), fields=('organization',), name='one_current_signing_secret', violation_error_message='The organization has a current signing secret.')],
            },
        ),
        migrations.RunSQL(
            "SELECT protect_tenant_table('signing_secret', 'SELECT, INSERT, UPDATE');",
            migrations.RunSQL.noop,
        ),
    ]
