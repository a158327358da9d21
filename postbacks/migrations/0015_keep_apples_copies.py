"""Create the copies of Apple's postbacks, and the place for those that are nobody's yet."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

PROTECT = """
ALTER TABLE skan_postback
    ALTER COLUMN received_at TYPE timestamptz(3),
    ADD CONSTRAINT copy_of_own_app
        FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id),
    ADD CONSTRAINT copy_of_own_partner
        FOREIGN KEY (organization_id, partner_id) REFERENCES partner (organization_id, id);

SELECT protect_tenant_table('skan_postback', 'SELECT, INSERT');
"""


class Migration(migrations.Migration):

    dependencies = [
        ("apps_registry", "0010_claim_store_ids"),
        ("postbacks", "0014_await_claims"),
    ]

    operations = [
        migrations.CreateModel(
            name='UnclaimedCopy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('store_id', models.CharField(blank=True, max_length=19, verbose_name='store ID')),
                ('received_at', models.DateTimeField(db_index=True)),
                ('body', models.TextField()),
            ],
            options={
                'verbose_name': 'unclaimed copy',
                'verbose_name_plural': 'unclaimed copies',
                'db_table': 'unclaimed_copy',
                'indexes': [models.Index(fields=['store_id', 'id'], name='unclaimed_by_store_id')],
            },
        ),
        migrations.CreateModel(
            name='SkanPostback',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, verbose_name='ID')),
                ('protocol', models.CharField(choices=[('skadnetwork', 'SKAdNetwork'), ('adattributionkit', 'AdAttributionKit')], max_length=16)),
                ('version', models.CharField(blank=True, max_length=255)),
                ('network_id', models.CharField(blank=True, max_length=255, verbose_name='network')),
                ('transaction_id', models.CharField(blank=True, max_length=255, verbose_name='transaction ID')),
                ('sequence', models.PositiveSmallIntegerField(default=0, verbose_name='postback')),
                ('signature_state', models.CharField(choices=[('valid', 'Valid'), ('invalid', 'Invalid'), ('unverifiable', "Can't be verified"), ('development', 'Development')], max_length=16, verbose_name='signature')),
                ('remark', models.CharField(blank=True, max_length=255, verbose_name='about the signature')),
                ('digest', models.UUIDField(editable=False, help_text='Of all that makes another copy the same as this one.')),
                ('duplicate_of', models.UUIDField(null=True, verbose_name='duplicate of')),
                ('received_at', models.DateTimeField(verbose_name='received')),
                ('campaign_id', models.CharField(blank=True, max_length=255, verbose_name='campaign ID')),
                ('source_identifier', models.CharField(blank=True, max_length=255)),
                ('source_app_id', models.CharField(blank=True, max_length=255, verbose_name='source app')),
                ('source_domain', models.CharField(blank=True, max_length=255)),
                ('conversion_type', models.CharField(blank=True, max_length=255)),
                ('ad_type', models.CharField(blank=True, max_length=16, verbose_name='kind of ad')),
                ('redownload', models.BooleanField(null=True)),
                ('did_win', models.BooleanField(null=True, verbose_name='won')),
                ('conversion_value', models.PositiveSmallIntegerField(null=True)),
                ('coarse_value', models.CharField(blank=True, max_length=8)),
                ('country', models.CharField(blank=True, max_length=2)),
                ('event_name', models.CharField(blank=True, max_length=64, verbose_name='decoded event')),
                ('least_revenue', models.DecimalField(decimal_places=6, max_digits=18, null=True)),
                ('most_revenue', models.DecimalField(decimal_places=6, max_digits=18, null=True)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('signature', models.TextField(blank=True, verbose_name="Apple's signature")),
                ('body', models.TextField(verbose_name='copy as it came')),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.partner')),
            ],
            options={
                'verbose_name': 'SKAdNetwork copy',
                'verbose_name_plural': 'SKAdNetwork copies',
                'db_table': 'skan_postback',
                'ordering': ['-received_at', '-id'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(fields=['organization', '-received_at', '-id'], name='skan_by_time'), models.Index(fields=['organization', 'public_id'], name='skan_by_public_id')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('duplicate_of', None)), fields=('organization', 'digest'), name='one_first_copy_per_transaction')],
            },
        ),
        migrations.RunSQL(PROTECT, ""),
    ]
