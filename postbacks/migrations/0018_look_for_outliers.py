"""Keep sites whose times from click to install look invented."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


PROTECT = """
ALTER TABLE site_times
    ADD CONSTRAINT times_of_own_app FOREIGN KEY (organization_id, app_id)
        REFERENCES app (organization_id, id),
    ADD CONSTRAINT times_of_own_partner FOREIGN KEY (organization_id, partner_id)
        REFERENCES partner (organization_id, id);
SELECT protect_tenant_table('site_times', 'SELECT');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0013_keep_referrer_keys'),
        ('postbacks', '0017_find_installs_by_id'),
    ]

    operations = [
        migrations.CreateModel(
            name='SiteTimes',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('site_id', models.CharField(blank=True, max_length=255, verbose_name='site')),
                ('day', models.DateField()),
                ('times', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), help_text='Installs by time; see attribution.outliers.', size=None)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('partner', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.partner')),
            ],
            options={
                'db_table': 'site_times',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('organization', 'app', 'partner', 'site_id', 'day'), name='one_site_times_per_site_and_day')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
