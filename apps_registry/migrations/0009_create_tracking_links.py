"""Create tracking links, and what an organization sets for the credit of installs."""

import apps_registry.models.tracking_links
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import uuid
from django.db import migrations, models

PROTECT = """
ALTER TABLE tracking_link ADD CONSTRAINT link_of_own_campaign
    FOREIGN KEY (organization_id, campaign_id) REFERENCES campaign (organization_id, id);
ALTER TABLE attribution_settings
    ADD CONSTRAINT settings_of_own_app
        FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id),
    ADD CONSTRAINT settings_of_own_partner
        FOREIGN KEY (organization_id, partner_id) REFERENCES partner (organization_id, id),
    ADD CONSTRAINT settings_of_own_link
        FOREIGN KEY (organization_id, link_id) REFERENCES tracking_link (organization_id, id);

SELECT protect_tenant_table('tracking_link', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('attribution_settings', 'SELECT, INSERT, UPDATE, DELETE');

-- A click must find its tenant by what stands in its address, as a key does.
CREATE POLICY token_lookup ON tracking_link FOR SELECT TO postbacks_owner USING (true);
CREATE FUNCTION find_tracking_link(
    link_token text, OUT organization_id bigint, OUT id bigint
)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT k.organization_id, k.id FROM tracking_link AS k WHERE k.token = link_token $$;
REVOKE ALL ON FUNCTION find_tracking_link(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_tracking_link(text) TO postbacks_web;
"""
REMOVE = "DROP FUNCTION find_tracking_link(text);"


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0008_invite_people'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrackingLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, help_text='How the management API names this tracking link.', unique=True, verbose_name='ID in the API')),
                ('token', models.CharField(default=apps_registry.models.tracking_links.new_token, editable=False, help_text="What stands in the link's address, for example h4k9wq2mzt7c.", max_length=32, unique=True)),
                ('name', models.CharField(help_text="To tell a campaign's links apart, for example Video 15 s.", max_length=120)),
                ('store_url', models.URLField(blank=True, help_text="Where a click leads. Empty: the app's own page in its store, made from its store ID, for example https://play.google.com/store/apps/details?id=com.example.game.", max_length=2000, verbose_name='store page')),
                ('fallback_url', models.URLField(blank=True, help_text="Where people go whose device can't run the app, for example https://example.com/game. Empty: to the store page as well.", max_length=2000, verbose_name='page for other devices')),
                ('deep_link', models.CharField(blank=True, help_text="What the app opens after the install, for example gemharbor://shop/summer. The link's parameter deep_link can name another one.", max_length=2000)),
                ('allowed_destinations', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255, validators=[django.core.validators.RegexValidator('^[a-z][a-z0-9+.-]*://[^\\s/?#]*$', 'Write the scheme and, for a web address, the host: gemharbor:// or https://go.example.com.')]), blank=True, default=list, help_text='What the parameters deep_link and fallback may lead to, separated by commas: schemes and hosts, for example gemharbor://, https://go.example.com.', size=None)),
                ('parameters', models.TextField(blank=True, help_text="What the network puts into the link for each click, with its own macros, for example click_id={clickid}&site_id={site}. Filled in from the partner's template.", verbose_name="network's parameters")),
                ('status', models.CharField(choices=[('active', 'Active'), ('archived', 'Archived')], default='active', editable=False, max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
                ('campaign', models.ForeignKey(db_constraint=False, help_text='What installs from this link are credited to, for example US iOS Summer 2026.', on_delete=django.db.models.deletion.PROTECT, related_name='tracking_links', to='apps_registry.campaign')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'tracking_link',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='AttributionSettings',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('click_window_hours', models.PositiveIntegerField(blank=True, help_text='How old a click may be and still win, for example 168 for 7 days.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(720)], verbose_name='click window (hours)')),
                ('impression_window_hours', models.PositiveIntegerField(blank=True, help_text='How old an impression may be and still win, for example 24.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(168)], verbose_name='impression window (hours)')),
                ('probabilistic_clicks', models.BooleanField(blank=True, help_text='Credit an install to a click from the same address and kind of device if it is the only one, for example where no id is shared. Off unless you switch it on.', null=True, verbose_name='guess by address and device')),
                ('probabilistic_impressions', models.BooleanField(blank=True, help_text='The same for ads that were only seen, for example video ads on TV.', null=True, verbose_name='guess from impressions too')),
                ('probabilistic_on_ios', models.BooleanField(blank=True, help_text="Apple's rules forbid to recognize a device by its traits, for example by its address; switch it on only where you may.", null=True, verbose_name='guess on iOS too')),
                ('probabilistic_click_window_minutes', models.PositiveIntegerField(blank=True, help_text='How old such a click may be, for example 360 for 6 hours.', null=True, validators=[django.core.validators.MinValueValidator(5), django.core.validators.MaxValueValidator(1440)], verbose_name='window for guesses (minutes)')),
                ('probabilistic_impression_window_minutes', models.PositiveIntegerField(blank=True, help_text='How old such an impression may be, for example 60.', null=True, validators=[django.core.validators.MinValueValidator(5), django.core.validators.MaxValueValidator(1440)], verbose_name='window for guesses from impressions (minutes)')),
                ('reattribution_window_days', models.PositiveIntegerField(blank=True, help_text='For how long after its first install a device that comes back is a reinstall and not a new install, for example 90.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(730)], verbose_name='reinstall window (days)')),
                ('inactivity_days', models.PositiveIntegerField(blank=True, help_text='How long a person must have been away to be won back, for example 7.', null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(365)], verbose_name='days of inactivity')),
                ('reengagement_window_days', models.PositiveIntegerField(blank=True, help_text='How old the click may be that wins a person back, for example 7.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(30)], verbose_name='re-engagement window (days)')),
                ('reinstall_events', models.CharField(blank=True, choices=[('original', 'To whom the first install was credited'), ('organic', 'To nobody')], help_text='Whom they are credited to when no ad led to the reinstall, for example nobody.', max_length=16, verbose_name='events after a reinstall')),
                ('least_seconds_to_install', models.PositiveIntegerField(blank=True, help_text='A click closer to the first open is rejected as injected, for example 2.', null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(60)], verbose_name='shortest time from click to first open (seconds)')),
                ('most_touchpoints_per_hour', models.PositiveIntegerField(blank=True, help_text='A partner that sends more for one device loses all of them, for example 10.', null=True, validators=[django.core.validators.MinValueValidator(2), django.core.validators.MaxValueValidator(1000)], verbose_name='most touchpoints per device and hour')),
                ('app', models.ForeignKey(blank=True, db_constraint=False, help_text='The app that these settings are for, for example Gem Harbor iOS.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(blank=True, db_constraint=False, help_text='The partner whose touchpoints they are for, for example Unity Ads.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.partner')),
                ('link', models.ForeignKey(blank=True, db_constraint=False, help_text='The tracking link whose touchpoints they are for, for example Video 15 s.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.trackinglink')),
            ],
            options={
                'verbose_name': 'attribution settings',
                'verbose_name_plural': 'attribution settings',
                'db_table': 'attribution_settings',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.AddConstraint(
            model_name='trackinglink',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='link_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='trackinglink',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'active')), fields=('organization', 'campaign', 'name'), name='one_active_link_per_campaign_and_name', violation_error_message='Another link of this campaign has this name.'),
        ),
        migrations.AddConstraint(
            model_name='attributionsettings',
            constraint=models.CheckConstraint(condition=models.Q(('link', None), models.Q(('app', None), ('partner', None)), _connector='OR'), name='settings_of_a_link_name_only_it'),
        ),
        migrations.AddConstraint(
            model_name='attributionsettings',
            constraint=models.UniqueConstraint(fields=('organization', 'app', 'partner', 'link'), name='one_attribution_settings_each', nulls_distinct=False, violation_error_message='These settings exist already; change them.'),
        ),
        migrations.RunSQL(PROTECT, REMOVE),
    ]
