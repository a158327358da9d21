"""Let processes keep configuration in memory: one row says when any of it has changed."""

from django.db import migrations, models

# At the end of the transaction, so that two that change configuration wait for each other no
# longer than their commits take. A transaction's id differs from that of every other one.
WATCH = """
CREATE FUNCTION note_configuration() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO configuration_version AS known (id, version)
    VALUES (1, pg_current_xact_id()::text::bigint)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version
    WHERE known.version <> excluded.version;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION note_configuration() FROM PUBLIC;
"""
_WATCHED = {
    "organization": "removed_at",
    "app": "",
    "bundle_id": "",
    "sdk_key": "kind, app_id, hash, expires_at, revoked_at",  # not its last use
    "partner": "",
    "campaign": "",
    "tracking_link": "",
    "click_signing_key": "",
}
for table, columns in _WATCHED.items():
    WATCH += f"""
CREATE CONSTRAINT TRIGGER note_configuration
    AFTER INSERT OR DELETE OR UPDATE {"OF " + columns if columns else ""} ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_configuration();
"""
FORGET = "".join(f"DROP TRIGGER note_configuration ON {table};\n" for table in _WATCHED)


class Migration(migrations.Migration):

    dependencies = [("apps_registry", "0015_say_what_keys_do")]

    operations = [
        migrations.CreateModel(
            name="ConfigurationVersion",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("version", models.BigIntegerField()),
            ],
            options={"db_table": "configuration_version"},
        ),
        migrations.RunSQL(WATCH, f"{FORGET}\nDROP FUNCTION note_configuration();"),
    ]
