"""Create what people declare."""

import apps_registry.models.organizations
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import uuid
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('email', models.EmailField(error_messages={'unique': 'This address is taken.'}, max_length=254, unique=True)),
                ('name', models.CharField(blank=True, max_length=120)),
                ('is_active', models.BooleanField(default=True)),
                ('is_superuser', models.BooleanField(default=False, verbose_name='operator')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'db_table': 'user_account',
            },
        ),
        migrations.CreateModel(
            name='Organization',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(help_text='Your company, as your colleagues know it.', max_length=120)),
                ('time_zone', models.CharField(default='UTC', help_text='Times are shown in this zone, for example Europe/Berlin.', max_length=64, validators=[apps_registry.models.organizations.valid_time_zone])),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'db_table': 'organization',
            },
        ),
        migrations.CreateModel(
            name='App',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(help_text='How your team calls the app, for example Gem Harbor iOS.', max_length=120)),
                ('platform', models.CharField(choices=[('ios', 'iOS'), ('android', 'Android'), ('amazon', 'Amazon'), ('windows', 'Windows'), ('web', 'Web'), ('tv', 'TV'), ('other', 'Other')], help_text='The platform of this app.', max_length=16)),
                ('store_id', models.CharField(blank=True, help_text="Apple's number or Google's package, for example 1234567890.", max_length=255)),
                ('time_zone', models.CharField(default='UTC', help_text="The zone in which this app's days begin, for example America/New_York.", max_length=64, validators=[apps_registry.models.organizations.valid_time_zone])),
                ('store_share', models.DecimalField(decimal_places=4, default=Decimal('0.3'), help_text='What the store keeps of a purchase: 0.3 for 30 %. Net revenue leaves it out.', max_digits=5, validators=[django.core.validators.MinValueValidator(Decimal('0')), django.core.validators.MaxValueValidator(Decimal('1'))])),
                ('status', models.CharField(choices=[('active', 'Active'), ('archived', 'Archived')], default='active', editable=False, max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'app',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(help_text='What uses the token, for example nightly export.', max_length=120)),
                ('role', models.CharField(choices=[('owner', 'Owner'), ('marketer', 'Marketer'), ('analyst', 'Analyst')], default='analyst', help_text='What the token may do at most.', max_length=16)),
                ('prefix', models.CharField(editable=False, max_length=16)),
                ('hash', models.CharField(editable=False, max_length=64, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('expires_at', models.DateTimeField(blank=True, help_text='When the token stops working. Empty: never.', null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('user', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'API token',
                'db_table': 'api_token',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='Partner',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(help_text='Who is told, for example Unity Ads.', max_length=120)),
                ('allowed_hosts', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255, validators=[django.core.validators.RegexValidator('^(\\*\\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:\\d{1,5})?$', 'Write a host without https:// and path, for example ads.example.com or *.example.com.')]), blank=True, default=list, help_text="Hosts that this partner's credentials may be sent to, separated by commas, for example ads.example.com. Only an owner can change them.", size=None)),
                ('status', models.CharField(choices=[('active', 'Active'), ('archived', 'Archived')], default='active', editable=False, max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'partner',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='Campaign',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(help_text='As the network names it, for example US iOS Summer 2026.', max_length=120)),
                ('remote_campaign_id', models.CharField(blank=True, help_text="The campaign's id on the network's side, for example 238471.", max_length=255, verbose_name='campaign ID of the network')),
                ('status', models.CharField(choices=[('active', 'Active'), ('archived', 'Archived')], default='active', editable=False, max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('app', models.ForeignKey(db_constraint=False, help_text='The app that is promoted.', on_delete=django.db.models.deletion.PROTECT, related_name='campaigns', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(db_constraint=False, help_text='The network that shows the ads.', on_delete=django.db.models.deletion.PROTECT, related_name='campaigns', to='apps_registry.partner')),
            ],
            options={
                'db_table': 'campaign',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='PartnerCredential',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='The name in the macro: api_key is used as {{credential.api_key}}.', max_length=64, validators=[django.core.validators.RegexValidator('^[a-z][a-z0-9_]{0,63}$', 'Write a name of small letters, digits and underscores, for example api_key.')])),
                ('sealed', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, max_length=4)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='credentials', to='apps_registry.partner')),
            ],
            options={
                'verbose_name': 'credential',
                'db_table': 'partner_credential',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='SdkKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(blank=True, help_text='To tell keys apart, for example Unity build 42.', max_length=120)),
                ('kind', models.CharField(choices=[('app', 'In the app (public)'), ('server', 'On your server (secret)')], default='app', help_text="A key in an app is public; a server's key must name ip_address and user_agent.", max_length=16)),
                ('prefix', models.CharField(editable=False, max_length=16)),
                ('hash', models.CharField(editable=False, max_length=64, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='sdk_keys', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'SDK key',
                'db_table': 'sdk_key',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('role', models.CharField(choices=[('owner', 'Owner'), ('marketer', 'Marketer'), ('analyst', 'Analyst')], default='analyst', help_text='Owners do everything, marketers set up and resend, analysts read and export.', max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'membership',
                'constraints': [models.UniqueConstraint(fields=('organization', 'user'), name='one_membership_per_person_and_organization', violation_error_message='This person is already a member.')],
            },
        ),
        migrations.CreateModel(
            name='BundleId',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('identifier', models.CharField(help_text='As the store knows the app, for example com.example.gemharbor.', max_length=255, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$', 'Write it as the store does: letters, digits, dots, dashes, for example com.example.game.')])),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='bundle_ids', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'bundle ID',
                'db_table': 'bundle_id',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('organization', 'identifier'), name='one_app_per_bundle_id', violation_error_message='This bundle ID already belongs to one of your apps.')],
            },
        ),
        migrations.AddConstraint(
            model_name='app',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='app_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='app',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'active')), fields=('organization', 'name'), name='one_active_app_per_name', violation_error_message='Another app has this name.'),
        ),
        migrations.AddConstraint(
            model_name='partner',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='partner_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='partner',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'active')), fields=('organization', 'name'), name='one_active_partner_per_name', violation_error_message='Another partner has this name.'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='campaign_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'active')), fields=('organization', 'app', 'name'), name='one_active_campaign_per_app_and_name', violation_error_message='Another campaign of this app has this name.'),
        ),
        migrations.AddConstraint(
            model_name='partnercredential',
            constraint=models.UniqueConstraint(fields=('organization', 'partner', 'name'), name='one_credential_per_partner_and_name', violation_error_message='This partner already has a credential of this name.'),
        ),
    ]
