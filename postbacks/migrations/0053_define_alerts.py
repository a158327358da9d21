"""Keep alerts, what they have found, and whom they tell."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import uuid
from django.db import migrations, models


PROTECT = """
ALTER TABLE alert
    ADD CONSTRAINT alert_of_own_app
        FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id),
    ADD CONSTRAINT alert_of_own_partner
        FOREIGN KEY (organization_id, partner_id) REFERENCES partner (organization_id, id),
    ADD CONSTRAINT alert_of_own_rule
        FOREIGN KEY (organization_id, rule_id) REFERENCES callback_rule (organization_id, id);
ALTER TABLE alert_incident ADD CONSTRAINT incident_of_own_alert
    FOREIGN KEY (organization_id, alert_id) REFERENCES alert (organization_id, id)
    ON DELETE CASCADE;
ALTER TABLE alert_notice
    ADD CONSTRAINT notice_of_own_alert
        FOREIGN KEY (organization_id, alert_id) REFERENCES alert (organization_id, id)
        ON DELETE CASCADE,
    ADD CONSTRAINT notice_of_own_incident
        FOREIGN KEY (organization_id, incident_id) REFERENCES alert_incident (organization_id, id)
        ON DELETE CASCADE;
CREATE INDEX notice_of_incident ON alert_notice (organization_id, incident_id);
SELECT protect_tenant_table('alert', 'SELECT, INSERT, UPDATE, DELETE');
SELECT protect_tenant_table('alert_incident', 'SELECT, INSERT, UPDATE, DELETE');
SELECT protect_tenant_table('alert_notice', 'SELECT, INSERT, UPDATE, DELETE');
SELECT protect_tenant_table('alert_turn', 'SELECT, INSERT, UPDATE, DELETE');
"""
RELEASE = """
ALTER TABLE alert_notice
    DROP CONSTRAINT notice_of_own_alert,
    DROP CONSTRAINT notice_of_own_incident;
ALTER TABLE alert_incident DROP CONSTRAINT incident_of_own_alert;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0018_mask_old_filters'),
        ('postbacks', '0052_schedule_exports'),
    ]

    operations = [
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, help_text='How the management API names this alert.', unique=True, verbose_name='ID in the API')),
                ('name', models.CharField(help_text='What your team calls the alert, for example Postbacks to Chartboost fail.', max_length=100)),
                ('kind', models.CharField(choices=[('success_rate', 'Success rate below a limit'), ('no_events', 'No events from an app'), ('volume_jump', 'Jump of volume'), ('rule_suspended', 'Rule failing or suspended'), ('breaker_open', 'Circuit breaker open')], max_length=16)),
                ('threshold', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)])),
                ('minutes', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1440)])),
                ('direction', models.CharField(choices=[('either', 'More or fewer'), ('rise', 'More events only'), ('drop', 'Fewer events only')], default='either', max_length=8)),
                ('emails', django.contrib.postgres.fields.ArrayField(base_field=models.EmailField(max_length=254), blank=True, default=list, help_text='Members who leave the organization get no more e-mails.', size=20, verbose_name='members who get an e-mail')),
                ('webhook_url', models.CharField(blank=True, help_text='Optional: the address of a program of yours, which gets a signed POST, for example https://hooks.example.com/postbacks. Your signing secrets sign it.', max_length=2000, verbose_name='callback URL')),
                ('quiet_from', models.TimeField(blank=True, help_text="Optional, for example 22:00 in your organization's time zone. From then on nobody is told.", null=True, verbose_name='quiet hours from')),
                ('quiet_until', models.TimeField(blank=True, help_text='For example 07:00: then you are told what is still wrong.', null=True, verbose_name='quiet hours until')),
                ('enabled', models.BooleanField(default=True, help_text='An alert that is off watches nothing and tells nobody.', verbose_name='on')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('app', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.partner')),
                ('rule', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.callbackrule')),
            ],
            options={
                'verbose_name': 'alert',
                'db_table': 'alert',
                'ordering': ['name', 'id'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='AlertIncident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('subject', models.CharField(max_length=300)),
                ('label', models.CharField(max_length=300)),
                ('app_ref', models.BigIntegerField(default=0)),
                ('partner_ref', models.BigIntegerField(default=0)),
                ('rule_ref', models.BigIntegerField(default=0)),
                ('level', models.PositiveSmallIntegerField(default=0)),
                ('value', models.FloatField(null=True)),
                ('detail', models.CharField(blank=True, max_length=500)),
                ('raised_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('well_since', models.DateTimeField(null=True)),
                ('cleared_at', models.DateTimeField(null=True)),
                ('clear_reason', models.CharField(blank=True, choices=[('recovered', 'Recovered'), ('too_little_data', 'Too little data for a day'), ('not_watched', 'No longer watched')], max_length=16)),
                ('alert', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='incidents', to='postbacks.alert')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'incident',
                'db_table': 'alert_incident',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='AlertNotice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('topic', models.CharField(choices=[('alert.raised', 'Raised'), ('alert.cleared', 'Cleared'), ('rule.failing', 'Rule Failing'), ('rule.suspended', 'Rule Suspended'), ('rule.recovered', 'Rule Recovered'), ('breaker.opened', 'Breaker Opened'), ('breaker.closed', 'Breaker Closed'), ('alert.test', 'Test')], max_length=16)),
                ('channel', models.CharField(choices=[('email', 'E-mail'), ('callback', 'Callback')], max_length=8)),
                ('status', models.CharField(choices=[('pending', 'On its way'), ('held', 'Held until quiet hours end'), ('sent', 'Sent'), ('failed', 'Failed'), ('dropped', 'Not sent: over before quiet hours ended')], max_length=8)),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('ended_at', models.DateTimeField(null=True)),
                ('status_code', models.PositiveSmallIntegerField(null=True)),
                ('error', models.CharField(blank=True, max_length=64)),
                ('alert', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='notices', to='postbacks.alert')),
                ('incident', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notices', to='postbacks.alertincident')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'notice',
                'db_table': 'alert_notice',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='AlertTurn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('judged_at', models.DateTimeField()),
                ('after_id', models.BigIntegerField(default=0)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'alert_turn',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='alert_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(fields=('organization', 'name'), name='one_alert_per_name', violation_error_message='There is an alert of this name. Choose another one.'),
        ),
        migrations.AddIndex(
            model_name='alertincident',
            index=models.Index(fields=['organization', 'alert', 'id'], name='incident_in_order'),
        ),
        migrations.AddIndex(
            model_name='alertincident',
            index=models.Index(fields=['cleared_at'], name='incident_by_end'),
        ),
        migrations.AddConstraint(
            model_name='alertincident',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='incident_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='alertincident',
            constraint=models.UniqueConstraint(condition=models.Q(('cleared_at', None)), fields=('organization', 'alert', 'subject'), name='one_open_incident_per_alert_and_subject'),
        ),
        migrations.AddIndex(
            model_name='alertnotice',
            index=models.Index(condition=models.Q(('status__in', ['pending', 'held'])), fields=['organization', 'due_at'], name='notice_due'),
        ),
        migrations.AddIndex(
            model_name='alertnotice',
            index=models.Index(fields=['organization', 'alert', 'id'], name='notice_in_order'),
        ),
        migrations.AddIndex(
            model_name='alertnotice',
            index=models.Index(fields=['created_at'], name='notice_by_age'),
        ),
        migrations.AddIndex(
            model_name='alertturn',
            index=models.Index(fields=['judged_at'], name='alert_turn_by_time'),
        ),
        migrations.AddConstraint(
            model_name='alertturn',
            constraint=models.UniqueConstraint(fields=('organization',), name='one_turn_per_organization'),
        ),
        migrations.RunSQL(PROTECT, RELEASE),
    ]
