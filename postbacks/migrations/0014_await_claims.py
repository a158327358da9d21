"""Keep the queue of installs about which Apple is asked."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE TABLE adservices_claim (
    install_id bigint PRIMARY KEY,
    organization_id bigint NOT NULL,
    due_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    tries integer NOT NULL CHECK (tries >= 0),
    CONSTRAINT claim_of_own_install FOREIGN KEY (organization_id, install_id)
        REFERENCES install (organization_id, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX adservices_claim_by_time ON adservices_claim (due_at);
SELECT protect_tenant_table('adservices_claim', 'SELECT');
"""


class Migration(migrations.Migration):

    dependencies = [("postbacks", "0013_remember_installs_before")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, "DROP TABLE adservices_claim;")],
            state_operations=[
                migrations.CreateModel(
                    name='AdServicesClaim',
                    fields=[
                        ('install', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='+', serialize=False, to='postbacks.install')),
                        ('due_at', models.DateTimeField()),
                        ('ends_at', models.DateTimeField()),
                        ('tries', models.PositiveIntegerField(default=0)),
                        ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                    ],
                    options={
                        'db_table': 'adservices_claim',
                        'abstract': False,
                        'base_manager_name': 'objects',
                        'default_manager_name': 'objects',
                    },
                ),
            ],
        )
    ]
