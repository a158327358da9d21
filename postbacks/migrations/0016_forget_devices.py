"""Keep requests to forget a device, what refuses its later data, and let old days leave."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


PROTECT = """
ALTER TABLE erasure_request ADD CONSTRAINT erasure_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
ALTER TABLE erasure_trace ADD CONSTRAINT trace_of_own_erasure
    FOREIGN KEY (organization_id, request_id) REFERENCES erasure_request (organization_id, id);
ALTER TABLE erasure_tombstone ADD CONSTRAINT tombstone_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);

SELECT protect_tenant_table('erasure_request', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('erasure_trace', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('erasure_tombstone', 'SELECT, INSERT');
SELECT protect_tenant_table('tombstone_key', 'SELECT, INSERT, UPDATE');

-- Like making a day, dropping one is nobody's business but the owner's; nothing but whole days of
-- logs can be dropped with it. One day is one call, so that no lock is held for long.
CREATE FUNCTION drop_oldest_partition(log text, before date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    oldest text;
BEGIN
    IF log <> ALL (ARRAY[
        'event', 'postback', 'delivery_attempt', 'touchpoint_click', 'touchpoint_impression'
    ]) OR before > current_date THEN
        RAISE EXCEPTION 'days of % before % do not leave', log, before;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_partitions'));
    SELECT relname INTO oldest
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = log::regclass AND relname ~ ('^' || log || '_p[0-9]{8}$')
      AND to_date(right(relname, 8), 'YYYYMMDD') < before
    ORDER BY relname LIMIT 1;
    IF oldest IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', oldest);
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION drop_oldest_partition(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_oldest_partition(text, date) TO postbacks_worker;
"""

REMOVE = "DROP FUNCTION drop_oldest_partition(text, date);"


class Migration(migrations.Migration):

    dependencies = [
        ("apps_registry", "0009_create_tracking_links"),
        ("postbacks", "0015_keep_apples_copies"),
    ]

    operations = [
        migrations.CreateModel(
            name='Tidying',
            fields=[
                ('name', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('through', models.DateTimeField()),
            ],
            options={
                'db_table': 'tidying',
            },
        ),
        migrations.CreateModel(
            name='ErasureRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('mode', models.CharField(choices=[('forget', 'Forget for good'), ('reset', 'Reset for tests')], default='forget', max_length=8, verbose_name='what')),
                ('reach', models.CharField(choices=[('install', 'What carries this install ID'), ('device', "All that the device's IDs lead to")], max_length=8)),
                ('kind', models.CharField(max_length=32, verbose_name='kind of ID')),
                ('digest', models.UUIDField()),
                ('ending', models.CharField(blank=True, max_length=4, verbose_name="ID's ending")),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done')], default='waiting', max_length=8)),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('swept_to', models.DateField(help_text='Events from this day on were looked through.', null=True)),
                ('counts', models.JSONField(default=dict, help_text='Rows that were emptied, by table.')),
                ('runs', models.PositiveIntegerField(default=0)),
                ('finished_at', models.DateTimeField(null=True)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'verbose_name': 'request to forget a device',
                'verbose_name_plural': 'requests to forget a device',
                'db_table': 'erasure_request',
                'ordering': ['-asked_at', '-id'],
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='ErasureTombstone',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.UUIDField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('app', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='apps_registry.app')),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'erasure_tombstone',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='ErasureTrace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, max_length=4)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
                ('request', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='trace', to='postbacks.erasurerequest')),
            ],
            options={
                'db_table': 'erasure_trace',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='TombstoneKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.TextField(editable=False)),
                ('ending', models.CharField(editable=False, max_length=4)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'tombstone_key',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
            },
        ),
        migrations.AddIndex(
            model_name='erasurerequest',
            index=models.Index(condition=models.Q(('state', 'done'), _negated=True), fields=['due_at'], name='erasure_request_open'),
        ),
        migrations.AddConstraint(
            model_name='erasurerequest',
            constraint=models.UniqueConstraint(fields=('organization', 'id'), name='erasure_of_organization'),
        ),
        migrations.AddConstraint(
            model_name='erasurerequest',
            constraint=models.UniqueConstraint(fields=('organization', 'app', 'mode', 'kind', 'digest'), name='one_erasure_per_app_mode_and_id'),
        ),
        migrations.AddConstraint(
            model_name='erasuretombstone',
            constraint=models.UniqueConstraint(fields=('organization', 'app', 'digest'), name='one_tombstone_per_app_and_digest'),
        ),
        migrations.AddConstraint(
            model_name='tombstonekey',
            constraint=models.UniqueConstraint(fields=('organization',), name='one_tombstone_key'),
        ),
        migrations.RunSQL(PROTECT, REMOVE),
    ]
