"""Keep the keys with which partners sign clicks, and what becomes of clicks without."""

import apps_registry.models.click_signing
import django.db.models.deletion
import uuid
from django.db import migrations, models


PROTECT = """
ALTER TABLE click_signing_key ADD CONSTRAINT click_key_of_own_partner
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner (organization_id, id);
SELECT protect_tenant_table('click_signing_key', 'SELECT, INSERT, UPDATE');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0011_name_attribution_settings'),
    ]

    operations = [
        migrations.AddField(
            model_name='partner',
            name='click_signing',
            field=models.CharField(choices=[('off', 'Off: signatures are not looked at'), ('report', 'Report: each click says whether its signature holds'), ('enforce', 'Enforce: without a valid signature a click earns nothing')], default='off', help_text="Whether this partner's clicks must be signed with one of its click signing keys, for example Report for the first week, then Enforce.", max_length=16, verbose_name='signed clicks'),
        ),
        migrations.CreateModel(
            name='ClickSigningKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, max_length=4)),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, help_text='How the management API names this key.', unique=True, verbose_name='ID in the API')),
                ('kid', models.CharField(default=apps_registry.models.click_signing.new_kid, editable=False, help_text='What the link names as kid, for example 3f9a01bc.', max_length=16, verbose_name='key ID')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='revoked')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(db_constraint=False, help_text='Who signs clicks with it, for example Unity Ads.', on_delete=django.db.models.deletion.PROTECT, related_name='click_signing_keys', to='apps_registry.partner')),
            ],
            options={
                'verbose_name': 'click signing key',
                'db_table': 'click_signing_key',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('organization', 'partner', 'kid'), name='one_click_key_per_partner_and_kid')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
