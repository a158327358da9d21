"""Create rules and installs, each protected from the first row on."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import postbacks.models.rules
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('apps_registry', '0002_protect_tenants'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkerHeartbeat',
            fields=[
                ('name', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('beat_at', models.DateTimeField()),
                ('stop_requested', models.BooleanField(default=False)),
                ('pid', models.IntegerField(default=0)),
            ],
            options={
                'db_table': 'worker_heartbeat',
            },
        ),
        migrations.CreateModel(
            name='CallbackRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(help_text='What the rule is for, for example Purchases to Unity Ads.', max_length=120)),
                ('status', models.CharField(choices=[('draft', 'Draft'), ('active', 'Active'), ('paused', 'Paused'), ('suspended', 'Suspended by us'), ('archived', 'Archived')], default='draft', help_text='Only an active rule sends.', max_length=16)),
                ('triggers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=postbacks.models.rules.any_event, help_text='Event names separated by commas, for example install,purchase. * is any event.', size=None)),
                ('frequency', models.CharField(choices=[('every', 'Every time'), ('first', 'First time per device')], default='every', help_text="Whether a device's second event of the kind is sent too.", max_length=8)),
                ('attribution_scope', models.CharField(choices=[('everyone', 'Everyone'), ('partner', 'Attributed to this partner'), ('partner_and_organic', 'Attributed to this partner, and organic'), ('any_attributed', 'Attributed to any partner')], default='everyone', help_text='Send events of all installs, or only of those that this partner earned.', max_length=24)),
                ('event_map', models.JSONField(blank=True, default=dict, help_text='The partner\'s event names, for example {"purchase": "af_purchase"}; sent as {{partner_event_name}}. Events that a map does not name are not sent.')),
                ('window_days', models.PositiveIntegerField(blank=True, help_text='Days after the install in which events are sent, for example 30. Empty: always.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(3650)])),
                ('sampling_percent', models.PositiveSmallIntegerField(default=100, help_text='Share of devices whose events are sent, for example 100.', validators=[django.core.validators.MaxValueValidator(100)])),
                ('delay_seconds', models.PositiveIntegerField(default=0, help_text='How long to wait before the first try, in seconds. 0: at once.', validators=[django.core.validators.MaxValueValidator(604800)])),
                ('send_revenue', models.BooleanField(default=True, help_text='Off: amounts and currency are left out of what is sent.')),
                ('without_consent', models.CharField(choices=[('send', 'Send all the same'), ('strip', 'Leave personal data out'), ('skip', 'Do not send')], default='strip', help_text='What to do when a person limited tracking or opted out.', max_length=8)),
                ('method', models.CharField(choices=[('GET', 'Get'), ('POST', 'Post'), ('PUT', 'Put'), ('PATCH', 'Patch')], default='GET', help_text='Most networks use GET.', max_length=8)),
                ('url', models.TextField(help_text='For example https://ads.example.com/postback?id={{advertising_id}}&event={{event_name}}.', verbose_name='URL')),
                ('headers', models.JSONField(blank=True, default=dict, help_text='Extra headers, for example {"Authorization": "Bearer {{credential.api_key}}"}.')),
                ('body_type', models.CharField(choices=[('none', 'No body'), ('form', 'Form (a=1&b=2)'), ('json', 'JSON'), ('raw', 'As it stands')], default='none', help_text='GET has no body.', max_length=8)),
                ('body', models.TextField(blank=True, help_text='For example {"event": "{{event_name}}", "revenue": {{revenue}}}.')),
                ('missing_values', models.CharField(choices=[('empty', 'Send it empty'), ('drop', 'Leave the parameter out')], default='empty', help_text='What happens to a parameter whose macro has no value.', max_length=8)),
                ('success', models.JSONField(default=postbacks.models.rules.any_success, help_text='What counts as received, for example {"codes": ["2xx"], "body_contains": "ok"}.')),
                ('timeout_seconds', models.PositiveSmallIntegerField(default=15, help_text='How long the partner may take to answer, 1 to 15 seconds.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(15)])),
                ('retry_delays', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)]), blank=True, default=postbacks.models.rules.default_delays, help_text='Seconds before each new try, for example 5,30,120. Empty: never again.', size=24)),
                ('version', models.PositiveIntegerField(default=0, editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('app', models.ForeignKey(blank=True, db_constraint=False, help_text='Whose events are sent. Empty: all apps.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(blank=True, db_constraint=False, help_text='Who is told. Needed for credentials.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='apps_registry.partner')),
            ],
            options={
                'verbose_name': 'callback rule',
                'db_table': 'callback_rule',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='CallbackRuleVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('definition', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('rule', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='postbacks.callbackrule')),
                ('saved_by', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'rule version',
                'db_table': 'callback_rule_version',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='Install',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('device', models.CharField(max_length=320)),
                ('install_id', models.CharField(blank=True, max_length=255)),
                ('installed_at', models.DateTimeField()),
                ('event_ref', models.BigIntegerField()),
                ('event_received_at', models.DateTimeField()),
                ('attribution_type', models.CharField(default='organic', max_length=16)),
                ('attribution_version', models.PositiveIntegerField(default=1)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'install',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='RuleDevice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('device', models.CharField(max_length=320)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('rule', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.callbackrule')),
            ],
            options={
                'db_table': 'rule_device',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.AddConstraint(
            model_name='callbackrule',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='rule_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='callbackrule',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'archived'), _negated=True), fields=('organization', 'name'), name='one_rule_per_name', violation_error_message='Another rule has this name.'),
        ),
        migrations.AddConstraint(
            model_name='callbackruleversion',
            constraint=models.UniqueConstraint(fields=('organization', 'rule', 'number'), name='one_version_per_rule_and_number'),
        ),
        migrations.AddConstraint(
            model_name='install',
            constraint=models.UniqueConstraint(fields=('organization', 'app', 'device'), name='one_install_per_app_and_device'),
        ),
        migrations.AddConstraint(
            model_name='ruledevice',
            constraint=models.UniqueConstraint(fields=('organization', 'rule', 'device'), name='one_first_time_per_rule_and_device'),
        ),
        migrations.RunSQL(
            """
            ALTER TABLE callback_rule
                ADD CONSTRAINT rule_of_own_app FOREIGN KEY (organization_id, app_id)
                    REFERENCES app (organization_id, id),
                ADD CONSTRAINT rule_of_own_partner FOREIGN KEY (organization_id, partner_id)
                    REFERENCES partner (organization_id, id);
            ALTER TABLE callback_rule_version
                ADD CONSTRAINT version_of_own_rule FOREIGN KEY (organization_id, rule_id)
                    REFERENCES callback_rule (organization_id, id);
            ALTER TABLE install
                ADD CONSTRAINT install_of_own_app FOREIGN KEY (organization_id, app_id)
                    REFERENCES app (organization_id, id);
            ALTER TABLE rule_device
                ADD CONSTRAINT device_of_own_rule FOREIGN KEY (organization_id, rule_id)
                    REFERENCES callback_rule (organization_id, id);
            SELECT protect_tenant_table('callback_rule', 'SELECT, INSERT, UPDATE');
            SELECT protect_tenant_table('callback_rule_version', 'SELECT, INSERT');
            SELECT protect_tenant_table('install', 'SELECT');
            SELECT protect_tenant_table('rule_device', 'SELECT');
            """,
            migrations.RunSQL.noop,
        ),
    ]
