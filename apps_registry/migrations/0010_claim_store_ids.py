"""Create claims to store ids, the meaning of conversion values, and networks' ids at Apple."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import uuid
from django.db import migrations, models

PROTECT = """
ALTER TABLE store_claim ADD CONSTRAINT claim_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
ALTER TABLE conversion_meaning ADD CONSTRAINT meaning_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);

SELECT protect_tenant_table('store_claim', 'SELECT, INSERT, UPDATE, DELETE');
SELECT protect_tenant_table('conversion_meaning', 'SELECT, INSERT, UPDATE, DELETE');

-- Apple's copies carry no key: what they say of an app leads to its organization. And whoever
-- claims an app, or decides about it, must learn that others do. These are the only ways across.
CREATE POLICY store_lookup ON store_claim FOR SELECT TO postbacks_owner USING (true);
CREATE FUNCTION find_store_owner(number text, OUT organization_id bigint, OUT app_id bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT c.organization_id, c.app_id FROM store_claim AS c
   WHERE c.store_id = number AND c.state = 'standing' $$;
CREATE FUNCTION is_store_id_claimed(number text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT EXISTS (SELECT FROM store_claim AS c
                  WHERE c.store_id = number AND c.state <> 'refused') $$;
CREATE FUNCTION find_disputed_claims(OUT organization_id bigint, OUT id bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT c.organization_id, c.id FROM store_claim AS c
   WHERE c.state <> 'standing' ORDER BY c.state DESC, c.id LIMIT 500 $$;
REVOKE ALL ON FUNCTION find_store_owner(text), is_store_id_claimed(text), find_disputed_claims()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_store_owner(text), is_store_id_claimed(text), find_disputed_claims()
    TO postbacks_web, postbacks_worker;

-- Apps that are there already: the first of a number has it, as if claims had always been.
SET LOCAL ROLE postbacks_worker;
INSERT INTO store_claim (organization_id, app_id, store_id, state, claimed_at, decided_by)
SELECT organization_id, id, number,
       CASE WHEN row_number() OVER (PARTITION BY number ORDER BY id) = 1
            THEN 'standing' ELSE 'waiting' END, now(), ''
FROM (
    SELECT DISTINCT ON (organization_id, number) organization_id, id, number
    FROM app, substring(trim(store_id) FROM '^(?:id)?0*([1-9][0-9]{0,17})$') AS number
    WHERE platform = 'ios' AND status = 'active' AND number IS NOT NULL
    ORDER BY organization_id, number, id
) AS claimed;
SET LOCAL ROLE postbacks_owner;
"""
REMOVE = """
DROP FUNCTION find_store_owner(text), is_store_id_claimed(text), find_disputed_claims();
"""


class Migration(migrations.Migration):

    dependencies = [("apps_registry", "0009_create_tracking_links")]

    operations = [
        migrations.AddField(
            model_name='partner',
            name='skadnetwork_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$', 'Write it as the network does, for example 4fzdc2evr5.skadnetwork.')]), blank=True, default=list, help_text="By what Apple's postbacks name this network, separated by commas, for example 4fzdc2evr5.skadnetwork. The ending .adattributionkit means the same.", size=None, verbose_name='SKAdNetwork IDs'),
        ),
        migrations.CreateModel(
            name='ConversionMeaning',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True, verbose_name='ID in the API')),
                ('first_value', models.PositiveSmallIntegerField(blank=True, help_text='The least conversion value that means this, from 0 to 63, for example 10.', null=True, validators=[django.core.validators.MaxValueValidator(63)], verbose_name='from value')),
                ('last_value', models.PositiveSmallIntegerField(blank=True, help_text='The greatest one, for example 19; the same as the first for a single value.', null=True, validators=[django.core.validators.MaxValueValidator(63)], verbose_name='to value')),
                ('coarse_value', models.CharField(blank=True, choices=[('low', 'Low'), ('medium', 'Medium'), ('high', 'High')], help_text='What Apple says where there are few installs, for example Medium.', max_length=8)),
                ('sequence', models.PositiveSmallIntegerField(blank=True, choices=[(0, 'First (days 0 to 2)'), (1, 'Second (days 3 to 7)'), (2, 'Third (days 8 to 35)')], help_text='In which postback it means this; empty: in each.', null=True, verbose_name='postback')),
                ('event_name', models.CharField(blank=True, help_text='What the person did, for example purchase.', max_length=64, verbose_name='event')),
                ('least_revenue', models.DecimalField(blank=True, decimal_places=6, help_text='What it earned at least, for example 4.99. Can stay empty.', max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)])),
                ('most_revenue', models.DecimalField(blank=True, decimal_places=6, help_text='What it earned at most, for example 9.99. Can stay empty.', max_digits=18, null=True, validators=[django.core.validators.MinValueValidator(0)])),
                ('currency', models.CharField(default='USD', help_text='The currency of both, for example USD.', max_length=3, validators=[django.core.validators.RegexValidator('^[A-Z]{3}$', 'Write three capital letters, for example USD.')])),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='conversion_meanings', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'conversion value',
                'db_table': 'conversion_meaning',
                'ordering': ['first_value', 'coarse_value', 'sequence'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('coarse_value', ''), ('first_value__isnull', False), ('last_value__isnull', False), ('sequence__isnull', True)), models.Q(('first_value', None), ('last_value', None), models.Q(('coarse_value', ''), _negated=True)), _connector='OR'), name='either_fine_values_or_a_coarse_one', violation_error_message='Say either a range of values or a coarse value.'), models.CheckConstraint(condition=models.Q(models.Q(('last_value__gte', models.F('first_value')), ('last_value__lte', 63)), ('first_value', None), _connector='OR'), name='a_range_of_values_from_0_to_63', violation_error_message='The greatest value is below the least.'), models.CheckConstraint(condition=models.Q(('least_revenue', None), ('most_revenue', None), ('most_revenue__gte', models.F('least_revenue')), _connector='OR'), name='least_revenue_before_most', violation_error_message='The greatest revenue is below the least.'), models.UniqueConstraint(condition=models.Q(('coarse_value', ''), _negated=True), fields=('organization', 'app', 'coarse_value', 'sequence'), name='one_meaning_per_coarse_value_and_postback', nulls_distinct=False, violation_error_message='This coarse value has a meaning in this postback already.')],
            },
        ),
        migrations.CreateModel(
            name='StoreClaim',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('store_id', models.CharField(max_length=19, verbose_name='store ID')),
                ('state', models.CharField(choices=[('standing', 'Yours'), ('waiting', 'Waits for the operator: another organization has it'), ('refused', 'Refused by the operator')], default='standing', max_length=16)),
                ('claimed_at', models.DateTimeField(auto_now_add=True, verbose_name='claimed')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
                ('decided_by', models.CharField(blank=True, max_length=255)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='store_claims', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'store ID claim',
                'db_table': 'store_claim',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('organization', 'store_id'), name='one_claim_per_store_id'), models.UniqueConstraint(condition=models.Q(('state', 'standing')), fields=('store_id',), name='a_store_id_belongs_to_one_organization')],
            },
        ),
        migrations.RunSQL(PROTECT, REMOVE),
    ]
