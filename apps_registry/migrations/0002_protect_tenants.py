"""Put the second wall up: row-level security, composite keys, and the only ways across.

Row-level security is off on partitions themselves, so nothing is ever granted on one.
A foreign key's own check passes row-level security, so a forged id could point at a foreign row:
composite keys (organization, id) refuse that.
"""

from django.db import migrations

PROTECT = """
CREATE FUNCTION current_organization() RETURNS bigint
LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('pb.org', true), '')::bigint $$;

-- Comparing with a sub-select freezes the organization for the statement and uses the indexes.
CREATE FUNCTION protect_tenant_table(tenant_table regclass, rights_of_web text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
        'CREATE POLICY tenant ON %s TO postbacks_web '
        'USING (organization_id = (SELECT current_organization())) '
        'WITH CHECK (organization_id = (SELECT current_organization()))', tenant_table);
    EXECUTE format(
        'CREATE POLICY every_tenant ON %s TO postbacks_worker USING (true) WITH CHECK (true)',
        tenant_table);
    EXECUTE format('GRANT %s ON %s TO postbacks_web', rights_of_web, tenant_table);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO postbacks_worker', tenant_table);
END $$;

ALTER TABLE bundle_id ADD CONSTRAINT bundle_id_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
ALTER TABLE sdk_key ADD CONSTRAINT sdk_key_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
ALTER TABLE partner_credential ADD CONSTRAINT credential_of_own_partner
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner (organization_id, id);
ALTER TABLE campaign ADD CONSTRAINT campaign_of_own_app
    FOREIGN KEY (organization_id, app_id) REFERENCES app (organization_id, id);
ALTER TABLE campaign ADD CONSTRAINT campaign_of_own_partner
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner (organization_id, id);

SELECT protect_tenant_table('app', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('bundle_id', 'SELECT, INSERT, UPDATE, DELETE');
SELECT protect_tenant_table('sdk_key', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('partner', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('partner_credential', 'SELECT, INSERT, UPDATE, DELETE');
SELECT protect_tenant_table('campaign', 'SELECT, INSERT, UPDATE');
SELECT protect_tenant_table('api_token', 'SELECT, INSERT, UPDATE');

-- A key must be found before its tenant is known. These two are the only ways across; they take
-- a hash and give ids. They run as owner, who may read just these two tables.
CREATE POLICY key_lookup ON sdk_key FOR SELECT TO postbacks_owner USING (true);
CREATE POLICY key_lookup ON api_token FOR SELECT TO postbacks_owner USING (true);

CREATE FUNCTION find_sdk_key(key_hash text, OUT organization_id bigint, OUT id bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT k.organization_id, k.id FROM sdk_key AS k WHERE k.hash = key_hash $$;

CREATE FUNCTION find_api_token(token_hash text, OUT organization_id bigint, OUT id bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT t.organization_id, t.id FROM api_token AS t WHERE t.hash = token_hash $$;

REVOKE ALL ON FUNCTION find_sdk_key(text), find_api_token(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_sdk_key(text), find_api_token(text) TO postbacks_web;
"""

REMOVE = """
DROP FUNCTION find_sdk_key(text), find_api_token(text);
"""


class Migration(migrations.Migration):
    dependencies = [("apps_registry", "0001_create_registry")]

    operations = [migrations.RunSQL(PROTECT, REMOVE)]
