"""Leave more room for updates on the pages of postbacks, so that no index has to be told of one.

A finished postback is larger than a fresh one by its fingerprint: of a page that was filled to
60 % only half of its rows found room beside them.
"""

from django.db import migrations


ENSURE_PARTITIONS = """
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
                    EXECUTE format('ALTER TABLE %I SET (fillfactor = {fillfactor})', name);
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
        EXECUTE format('ALTER TABLE %s SET (fillfactor = {fillfactor})', part);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0033_count_the_size_of_rules'),
    ]

    operations = [
        migrations.RunSQL(
            ENSURE_PARTITIONS.replace("{fillfactor}", "40"),
            ENSURE_PARTITIONS.replace("{fillfactor}", "60"),
        ),
    ]
