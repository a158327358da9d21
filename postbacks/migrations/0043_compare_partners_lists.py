"""Compare partners' lists with what was sent to them, and keep the lines for some days."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

PROTECT = """
ALTER TABLE discrepancy ADD CONSTRAINT discrepancy_of_own_partner
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner (organization_id, id);
ALTER TABLE discrepancy_line ADD CONSTRAINT line_of_own_discrepancy
    FOREIGN KEY (organization_id, discrepancy_id) REFERENCES discrepancy (organization_id, id);
SELECT protect_tenant_table('discrepancy', 'SELECT, INSERT, UPDATE, DELETE');
SELECT protect_tenant_table('discrepancy_line', 'SELECT, INSERT, UPDATE, DELETE');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0018_mask_old_filters'),
        ('postbacks', '0042_give_up_dry_runs'),
    ]

    operations = [
        migrations.CreateModel(
            name='Discrepancy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('event_name', models.CharField(blank=True, max_length=64)),
                ('text', models.TextField(blank=True)),
                ('readings', models.JSONField(default=list)),
                ('remarks', models.JSONField(default=list)),
                ('id_kind', models.CharField(blank=True, max_length=16)),
                ('asked_by', models.CharField(blank=True, max_length=255)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('worked_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('running', 'Running'), ('finished', 'Finished'), ('cancelled', 'Cancelled'), ('failed', 'Failed'), ('erased', 'Deleted by an erasure')], default='running', max_length=16)),
                ('finished_at', models.DateTimeField(null=True)),
                ('total', models.PositiveIntegerField(default=0)),
                ('done', models.PositiveIntegerField(default=0)),
                ('since', models.DateTimeField(null=True)),
                ('until', models.DateTimeField(null=True)),
                ('reached_at', models.DateTimeField(null=True)),
                ('reached_id', models.BigIntegerField(null=True)),
                ('without_id', models.PositiveIntegerField(default=0)),
                ('counts', models.JSONField(default=dict)),
                ('differing_amounts', models.PositiveIntegerField(default=0)),
                ('their_money', models.JSONField(default=dict)),
                ('our_money', models.JSONField(default=dict)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.partner')),
            ],
            options={
                'verbose_name': 'discrepancy',
                'verbose_name_plural': 'discrepancies',
                'db_table': 'discrepancy',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='DiscrepancyLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('partner_id_text', models.CharField(max_length=1024, verbose_name='ID')),
                ('digest', models.UUIDField()),
                ('at', models.DateTimeField(null=True)),
                ('amount', models.DecimalField(decimal_places=20, max_digits=40, null=True)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('outcome', models.CharField(choices=[('sent', 'Sent'), ('failed', 'Failed'), ('waiting', 'On its way'), ('not_owed', 'Never owed'), ('unknown', 'Not known here'), ('missing', 'Sent, and they lack it')], max_length=16)),
                ('reason', models.CharField(blank=True, max_length=64)),
                ('detail', models.TextField(blank=True)),
                ('event_name', models.CharField(blank=True, max_length=64)),
                ('sdk_event_id', models.UUIDField(null=True)),
                ('postback_public_id', models.UUIDField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('status_code', models.PositiveSmallIntegerField(null=True)),
                ('our_amount', models.DecimalField(decimal_places=20, max_digits=40, null=True)),
                ('our_currency', models.CharField(blank=True, max_length=3)),
                ('discrepancy', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='postbacks.discrepancy')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'line of a discrepancy',
                'verbose_name_plural': 'lines of a discrepancy',
                'db_table': 'discrepancy_line',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.AddIndex(
            model_name='discrepancy',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['worked_at'], name='discrepancy_to_work_on'),
        ),
        migrations.AddIndex(
            model_name='discrepancy',
            index=models.Index(fields=['organization', 'created_at', 'id'], name='discrepancy_in_order'),
        ),
        migrations.AddConstraint(
            model_name='discrepancy',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='discrepancy_of_organization'),
        ),
        migrations.AddIndex(
            model_name='discrepancyline',
            index=models.Index(fields=['organization', 'discrepancy', 'outcome', 'id'], name='discrepancy_line_in_order'),
        ),
        migrations.AddIndex(
            model_name='discrepancyline',
            index=models.Index(fields=['discrepancy', 'digest'], name='discrepancy_line_by_id'),
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
