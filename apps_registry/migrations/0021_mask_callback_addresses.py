"""Mask the callback URLs of alerts that the audit log kept whole: their path may be a key."""

from django.db import migrations

# As `masked_address` does it by now, of the value before and the one after.
MASK = r"""
ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_is_append_only;
ALTER TABLE audit_entry NO FORCE ROW LEVEL SECURITY;
UPDATE audit_entry SET changes = jsonb_set(changes, '{webhook_url}', (
    SELECT jsonb_agg(
        CASE
            WHEN jsonb_typeof(value) <> 'string' OR value #>> '{}' ~ '^(https?://[^/?#@]*/?)?$'
                THEN value
            ELSE to_jsonb(regexp_replace(
                value #>> '{}', '^(\w+://)?([^/?#]*@)?([^/?#]*).*$', '\1\3/•••'))
        END ORDER BY place)
    FROM jsonb_array_elements(changes -> 'webhook_url') WITH ORDINALITY AS parts (value, place)
))
WHERE object_type = 'alert' AND jsonb_typeof(changes -> 'webhook_url') = 'array';
ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_is_append_only;
"""


class Migration(migrations.Migration):

    dependencies = [("apps_registry", "0020_give_organizations_a_currency")]

    operations = [migrations.RunSQL(MASK, migrations.RunSQL.noop)]
