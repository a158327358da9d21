"""Queue postbacks by lane and class, keep the state of circuit breakers, and room for updates."""

import django.db.models.deletion
from django.db import migrations, models


QUEUE = """
-- In which of a lane's queues a row stands: 0 fresh, 1 late (a retry), 2 replayed.
CREATE FUNCTION queue_class(kind text, tries integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN kind = 'replay' THEN 2 WHEN tries > 0 THEN 1 ELSE 0 END;

CREATE INDEX due_postback_by_lane
    ON due_postback (organization_id, host, queue_class(kind, tries), due_at) WHERE NOT paced;
DROP INDEX due_postback_by_time;
-- A claim takes a row out of this index and adds none, so it costs a postback one entry.
CREATE INDEX due_postback_unclaimed ON due_postback (rule_id, postback_id) WHERE claim_id IS NULL;

-- A postback changes once or twice; with room on its page no index has to be told.
CREATE OR REPLACE FUNCTION ensure_partitions(first_day date, days integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    log text;
    day date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_partitions'));
    FOREACH log IN ARRAY ARRAY[
        'event', 'postback', 'delivery_attempt', 'touchpoint_click', 'touchpoint_impression'
    ] LOOP
        FOR offset_days IN 0 .. days - 1 LOOP
            day := first_day + offset_days;
            name := log || '_p' || to_char(day, 'YYYYMMDD');
            IF to_regclass(name) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, log);
                IF log = 'postback' THEN
                    EXECUTE format('ALTER TABLE %I SET (fillfactor = 60)', name);
                END IF;
                EXECUTE format(
                    'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    log, name,
                    day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
                );
            END IF;
        END LOOP;
    END LOOP;
END $$;

-- Holds for pages that are still to be written; nothing is rewritten.
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'postback'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (fillfactor = 60)', part);
    END LOOP;
END $$;
"""
QUEUE_BACKWARD = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'postback'::regclass LOOP
        EXECUTE format('ALTER TABLE %s RESET (fillfactor)', part);
    END LOOP;
END $$;
CREATE INDEX due_postback_by_time ON due_postback (due_at) WHERE NOT paced;
DROP INDEX due_postback_unclaimed, due_postback_by_lane;
DROP FUNCTION queue_class(text, integer);
"""
PROTECT = "SELECT protect_tenant_table('circuit_breaker', 'SELECT');"


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0015_say_what_keys_do'),
        ('postbacks', '0026_mark_test_devices'),
    ]

    operations = [
        migrations.RunSQL(QUEUE, QUEUE_BACKWARD),
        migrations.CreateModel(
            name='CircuitBreaker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('host', models.CharField(max_length=262)),
                ('state', models.CharField(choices=[('closed', 'Closed'), ('open', 'Open'), ('half_open', 'Half open')], default='closed', max_length=9)),
                ('reason', models.CharField(blank=True, max_length=64)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('window_started_at', models.DateTimeField()),
                ('window_requests', models.PositiveIntegerField(default=0)),
                ('window_failures', models.PositiveIntegerField(default=0)),
                ('opened_at', models.DateTimeField(null=True)),
                ('next_probe_at', models.DateTimeField(null=True)),
                ('probe_wait_seconds', models.PositiveIntegerField(default=0)),
                ('organization', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='apps_registry.organization')),
            ],
            options={
                'db_table': 'circuit_breaker',
                'abstract': False,
                'base_manager_name': 'objects',
                'default_manager_name': 'objects',
                'indexes': [models.Index(condition=models.Q(('state', 'closed'), _negated=True), fields=['next_probe_at'], name='circuit_breaker_open')],
                'constraints': [models.UniqueConstraint(fields=('organization', 'host'), name='one_circuit_breaker_per_lane')],
            },
        ),
        migrations.RunSQL(PROTECT, migrations.RunSQL.noop),
    ]
