"""Keep the keys with which Meta encrypts its part of a referrer."""

import django.db.models.deletion
from django.db import migrations, models


PROTECT = """
ALTER TABLE referrer_key ADD CONSTRAINT key_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
SELECT protect_tenant_table('referrer_key', 'SELECT, INSERT, UPDATE, DELETE');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0012_sign_clicks'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReferrerKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, max_length=4)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='referrer_keys', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'install referrer key',
                'db_table': 'referrer_key',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('organization', 'app'), name='one_referrer_key_per_app', violation_error_message='This app has a key already; replace it.')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
