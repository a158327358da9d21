"""Mask what may name a person in the filters of exports that the audit log kept before."""

from django.db import migrations

# As `logged_filters` does it by now: the values of other filters are about nobody.
MASK = """
ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_is_append_only;
ALTER TABLE audit_entry NO FORCE ROW LEVEL SECURITY;
UPDATE audit_entry SET changes = jsonb_set(changes, '{filters,1}', to_jsonb((
    SELECT string_agg(
        CASE
            WHEN split_part(split_part(part, '=', 1), '__', 1) = ANY(ARRAY[
                'app', 'partner', 'rule', 'campaign', 'link', 'bundle_id', 'status', 'state',
                'kind', 'role', 'platform', 'event_name', 'source', 'reason', 'outcome', 'error',
                'test', 'type', 'method', 'attribution_type', 'protocol', 'version',
                'signature_state', 'action', 'door', 'since', 'until', 'period', 'hours', 'at',
                'received_at', 'created_at', 'o', 'limit'
            ]) THEN part
            ELSE split_part(part, '=', 1) || '=•••'
        END, '&' ORDER BY place)
    FROM string_to_table(changes #>> '{filters,1}', '&') WITH ORDINALITY AS parts (part, place)
)))
WHERE changes #>> '{filters,1}' <> '';
ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_is_append_only;
"""


class Migration(migrations.Migration):

    dependencies = [('apps_registry', '0017_prove_store_ids')]

    operations = [migrations.RunSQL(MASK, migrations.RunSQL.noop)]
