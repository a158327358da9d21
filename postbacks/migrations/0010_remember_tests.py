"""Let a test send be logged without a stored event, and remember which versions were tested.

A test belongs to no event's story, so it names no event row; its app is unknown where a rule for
all apps is tried with the sample. Nothing else may lack them. People's own doors write tests, and
by a policy of PostgreSQL nothing but tests.
"""

from django.db import migrations, models
from django.db.models import deletion

FORWARD = """
ALTER TABLE postback ALTER event_id DROP NOT NULL, ALTER app_id DROP NOT NULL;
ALTER TABLE postback ADD CONSTRAINT only_a_test_has_no_event
    CHECK (test OR (event_id IS NOT NULL AND app_id IS NOT NULL));

GRANT INSERT ON postback, delivery_attempt TO postbacks_web;
CREATE POLICY web_writes_only_tests ON postback AS RESTRICTIVE
    FOR INSERT TO postbacks_web WITH CHECK (test);
CREATE POLICY web_writes_only_tests ON delivery_attempt AS RESTRICTIVE
    FOR INSERT TO postbacks_web WITH CHECK (kind = 'test');

-- A day can only be attached if it holds the constraints of its log.
CREATE OR REPLACE FUNCTION ensure_partitions(first_day date, days integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    log text;
    day date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_partitions'));
    FOREACH log IN ARRAY ARRAY['event', 'postback', 'delivery_attempt'] LOOP
        FOR offset_days IN 0 .. days - 1 LOOP
            day := first_day + offset_days;
            name := log || '_p' || to_char(day, 'YYYYMMDD');
            IF to_regclass(name) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, log
                );
                EXECUTE format(
                    'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    log, name,
                    day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
                );
            END IF;
        END LOOP;
    END LOOP;
END $$;
"""

# Tests that have no event can't be told without one: going back is for empty logs.
BACKWARD = """
DROP POLICY web_writes_only_tests ON delivery_attempt;
DROP POLICY web_writes_only_tests ON postback;
REVOKE INSERT ON postback, delivery_attempt FROM postbacks_web;
ALTER TABLE postback DROP CONSTRAINT only_a_test_has_no_event;
ALTER TABLE postback ALTER event_id SET NOT NULL, ALTER app_id SET NOT NULL;
"""

TESTED = "GRANT UPDATE (tested_at) ON callback_rule_version TO postbacks_web;"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0009_tell_of_suspension")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AlterField(
                    "postback",
                    "app",
                    models.ForeignKey(db_constraint=False, null=True, on_delete=deletion.DO_NOTHING, related_name="+", to="apps_registry.app"),
                ),
                migrations.AlterField(
                    "postback",
                    "event",
                    models.ForeignKey(db_constraint=False, null=True, on_delete=deletion.DO_NOTHING, related_name="postbacks", to="postbacks.event"),
                ),
            ],
        ),
        migrations.AddField(
            "callbackruleversion",
            "tested_at",
            models.DateTimeField(null=True, editable=False),
        ),
        migrations.RunSQL(TESTED, migrations.RunSQL.noop),
    ]
