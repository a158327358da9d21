"""Have only an operator decide whose a store ID is that more than one organization claims."""

from django.db import migrations

CONTESTED = """
CREATE FUNCTION is_store_id_contested(number text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT EXISTS (SELECT FROM store_claim AS c
                  WHERE c.store_id = number AND c.state = 'waiting') $$;
REVOKE ALL ON FUNCTION is_store_id_contested(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_store_id_contested(text) TO postbacks_web, postbacks_worker;
"""


class Migration(migrations.Migration):
    dependencies = [("apps_registry", "0018_mask_old_filters")]

    operations = [
        migrations.RunSQL(CONTESTED, "DROP FUNCTION is_store_id_contested(text);"),
    ]
