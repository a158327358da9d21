"""Remember which claims to store ids are proven: until then, an app's copies wait."""

from django.db import migrations, models

FIND = """
CREATE FUNCTION find_proven_owner(number text, OUT organization_id bigint, OUT app_id bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT c.organization_id, c.app_id FROM store_claim AS c
   WHERE c.store_id = number AND c.state = 'standing' AND c.proven_at IS NOT NULL $$;
-- Whoever decides about claims must learn of those whose copies wait.
CREATE FUNCTION find_unproven_claims(OUT organization_id bigint, OUT id bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT c.organization_id, c.id FROM store_claim AS c
   WHERE c.state = 'standing' AND c.proven_at IS NULL
     AND EXISTS (SELECT FROM unclaimed_copy AS copy WHERE copy.store_id = c.store_id)
   ORDER BY c.id LIMIT 500 $$;
REVOKE ALL ON FUNCTION find_proven_owner(text), find_unproven_claims() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_proven_owner(text), find_unproven_claims()
    TO postbacks_web, postbacks_worker;

-- Those that the operator has decided, and those that copies have come to, stay as they were.
SET LOCAL ROLE postbacks_worker;
UPDATE store_claim SET proven_at = now()
WHERE state = 'standing' AND (decided_at IS NOT NULL OR EXISTS (
    SELECT FROM skan_postback AS copy
    WHERE copy.organization_id = store_claim.organization_id AND copy.app_id = store_claim.app_id
));
SET LOCAL ROLE postbacks_owner;
"""
REMOVE = """
DROP FUNCTION find_proven_owner(text), find_unproven_claims();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0016_know_configuration'),
        ('postbacks', '0032_decide_in_turns'),
    ]

    operations = [
        migrations.AddField('storeclaim', 'proven_at', models.DateTimeField('proven', null=True)),
        migrations.RunSQL(FIND, REMOVE),
    ]
