"""Every tenant's table stands behind PostgreSQL's wall, also the one that is added tomorrow."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import connection

from apps_registry.tenancy import NoTenantError, TenantModel, tenant
from postbacks.infrastructure.database import roles
from postbacks.models import Event
from tests import make
from tests.database import as_role
from tests.isolation import walls
from tests.isolation.story import live_through, tenant_models
from tests.isolation.walls import rows

pytestmark = pytest.mark.django_db(transaction=True)

# These hold no tenant's data, or are reached through one module that filters by membership.
WITHOUT_POLICY = {
    "account_emailaddress",
    "account_emailconfirmation",
    "invitation",
    "mfa_authenticator",
    "socialaccount_socialaccount",
    "socialaccount_socialapp",
    "socialaccount_socialtoken",
    "usersessions_usersession",
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "cache_entry",
    "configuration_version",
    "django_admin_log",
    "django_content_type",
    "django_migrations",
    "django_q_ormq",
    "django_q_schedule",
    "django_q_task",
    "django_session",
    "exchange_rate",
    "membership",
    "organization",
    "rate_count",
    "tidying",
    "unclaimed_copy",
    "user_account",
    "worker_heartbeat",
}

# A foreign key to a partitioned table would keep its days from being dropped; the deduplication key
# and the queues are written by the statements that write the logs, from the same values.
WITHOUT_COMPOSITE_KEY = {
    "postback.event_id",
    "delivery_attempt.postback_id",
    "due_postback.postback_id",
    "due_postback.rule_id",
    "held_postback.postback_id",
    "replayed_postback.postback_id",
    "event_key.app_id",
    "postback.install_id",
    "touchpoint_key.app_id",
    "touchpoint_key.touchpoint_id",
    "install_key.app_id",
    "refused_event.sdk_key_id",
}


# Queues, keys and attempts: what they are of is written by the same statement, or was before them.
WITHOUT_ORGANIZATION = {
    "decision_failure",
    "delivery_attempt",
    "device_digest",
    "due_postback",
    "event_key",
    "figure_change",
    "touchpoint_key",
    "undecided_event",
}
_UNBOUND = """
WITH owned AS (
    SELECT attrelid AS id FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attname = 'organization_id' AND NOT attisdropped AND relkind IN ('r', 'p')
      AND NOT relispartition AND relnamespace = 'public'::regnamespace
), bound AS (
    SELECT conrelid AS id FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'organization'::regclass
)
SELECT id::regclass FROM owned
WHERE id NOT IN (SELECT id FROM bound) AND NOT EXISTS (
    SELECT FROM pg_constraint AS key
    WHERE contype = 'f' AND conrelid = owned.id AND confrelid IN (SELECT id FROM bound)
      AND NOT EXISTS (
          SELECT FROM pg_attribute
          WHERE attrelid = conrelid AND attnum = ANY(conkey) AND NOT attnotnull
      )
)
"""


def test_every_table_of_a_tenant_stands_behind_the_whole_wall() -> None:
    """It holds for the owner too, shows web one organization, and the worker all."""
    tables = {model._meta.db_table for model in tenant_models()}

    assert walls.half_open_tables() == set()
    assert walls.open_tables() & tables == set()
    assert walls.owned_tables() - tables == {"invitation", "membership"}


def test_web_writes_tests_into_the_log_and_nothing_else() -> None:
    narrowed = rows(
        "SELECT tablename, cmd, with_check FROM pg_policies "
        "WHERE schemaname = 'public' AND permissive = 'RESTRICTIVE' ORDER BY tablename"
    )

    assert narrowed == [
        ("delivery_attempt", "INSERT", "((kind)::text = 'test'::text)"),
        ("postback", "INSERT", "test"),
    ]


def test_only_keys_can_be_looked_up_before_their_tenant_is_known() -> None:
    exceptions = rows(
        "SELECT tablename, cmd, roles::text FROM pg_policies "
        "WHERE schemaname = 'public' AND cmd <> 'ALL' AND permissive = 'PERMISSIVE' "
        "ORDER BY tablename"
    )
    ways_across = rows(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace "
        "ORDER BY proname"
    )

    owner = f"{{{roles.OWNER}}}"
    assert exceptions == [
        ("api_token", "SELECT", owner),
        ("sdk_key", "SELECT", owner),
        ("store_claim", "SELECT", owner),
        ("tracking_link", "SELECT", owner),
    ]
    assert ways_across == [
        ("drop_oldest_partition",),
        ("ensure_partitions",),
        ("find_api_token",),
        ("find_disputed_claims",),
        ("find_proven_owner",),
        ("find_sdk_key",),
        ("find_store_owner",),
        ("find_tracking_link",),
        ("find_unproven_claims",),
        ("is_store_id_claimed",),
        ("is_store_id_contested",),
        ("note_configuration",),  # a trigger: it tells that something changed, not what
    ]


def test_the_tables_without_a_policy_are_the_ones_we_know() -> None:
    assert walls.open_tables() == WITHOUT_POLICY


def test_every_model_with_an_organization_is_a_tenants() -> None:
    owned = {
        model._meta.db_table
        for model in apps.get_models()
        if any(field.name == "organization" for field in model._meta.fields)
        and not issubclass(model, TenantModel)
    }

    assert owned == {"invitation", "membership"}


def test_a_relation_between_rows_of_tenants_holds_the_organization_too() -> None:
    assert walls.plain_references() == WITHOUT_COMPOSITE_KEY


@pytest.fixture
def forgetful_table() -> Iterator[str]:
    """A tenant's table as it is when somebody thought of nothing."""
    _as_owner(
        "CREATE TABLE forgetful (id bigint PRIMARY KEY, "
        "organization_id bigint NOT NULL REFERENCES organization (id), "
        "app_id bigint NOT NULL REFERENCES app (id))"
    )
    yield "forgetful"
    _as_owner("DROP TABLE forgetful")


def test_a_table_without_a_policy_does_not_go_unseen(forgetful_table: str) -> None:
    assert walls.open_tables() == {*WITHOUT_POLICY, forgetful_table}
    assert forgetful_table in walls.owned_tables()


@pytest.mark.parametrize(
    "forgotten",
    [
        "ALTER TABLE forgetful NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON forgetful",
        "ALTER POLICY tenant ON forgetful USING (true)",
        "ALTER POLICY tenant ON forgetful WITH CHECK (true)",
        "CREATE POLICY more ON forgetful TO postbacks_web USING (id > 0)",
    ],
)
def test_a_wall_with_a_hole_does_not_go_unseen(forgetful_table: str, forgotten: str) -> None:
    _as_owner("SELECT protect_tenant_table('forgetful', 'SELECT')")
    whole = walls.half_open_tables()

    _as_owner(forgotten)

    assert whole == set()
    assert walls.half_open_tables() == {forgetful_table}


def test_a_relation_without_a_composite_key_does_not_go_unseen(forgetful_table: str) -> None:
    before = walls.plain_references()

    _as_owner(
        "ALTER TABLE forgetful ADD FOREIGN KEY (organization_id, app_id) "
        "REFERENCES app (organization_id, id)"
    )

    assert before == {*WITHOUT_COMPOSITE_KEY, f"{forgetful_table}.app_id"}
    assert walls.plain_references() == WITHOUT_COMPOSITE_KEY


def test_no_row_is_of_an_organization_that_is_not_there() -> None:
    """Its table refers to organizations, or always to what refers to them."""
    unbound = {str(table) for (table,) in rows(_UNBOUND)}

    assert unbound - WITHOUT_ORGANIZATION == set()
    assert {"event", "postback", "touchpoint", "attribution"} & unbound == set()


def test_no_role_of_ours_passes_row_level_security() -> None:
    ours = rows(
        "SELECT rolname, rolsuper, rolbypassrls, rolcanlogin FROM pg_roles "
        "WHERE rolname = ANY(%s) ORDER BY rolname",
        list(roles.ROLES),
    )

    assert ours == [(name, False, False, False) for name in sorted(roles.ROLES)]


def test_nothing_is_granted_on_partitions_where_no_policy_holds() -> None:
    grants = rows(
        """
        SELECT grants.table_name, grants.grantee FROM information_schema.role_table_grants AS grants
        JOIN pg_class ON relname = grants.table_name AND relispartition
        WHERE grants.grantee <> %s
        """,
        roles.OWNER,
    )
    partitions = rows("SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'")

    assert grants == []
    assert partitions[0][0] > 0


def test_the_worker_sees_every_organization() -> None:
    live_through("Gem Harbor")
    live_through("Moss Valley")

    with as_role(roles.WORKER):
        counts = {model: _count(model) for model in tenant_models()}

    assert {model.__name__ for model, count in counts.items() if count < 2} == set()


def test_web_sees_nothing_outside_of_an_organization() -> None:
    live_through("Gem Harbor")

    counts = {model: _count(model) for model in tenant_models()}

    assert {model.__name__ for model, count in counts.items() if count} == set()


def test_python_refuses_to_look_outside_of_an_organization() -> None:
    for model in tenant_models():
        with pytest.raises(NoTenantError, match=model.__name__):
            model.objects.all()


def test_a_forged_reference_to_another_organizations_row_is_refused_by_postgresql() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")

    with (
        pytest.raises(Exception, match="bundle_id_of_own_app"),
        tenant(ours.organization.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO bundle_id (organization_id, public_id, app_id, identifier, created_at) "
            "VALUES (%s, gen_random_uuid(), %s, 'com.example.stolen', now())",
            [ours.organization.pk, theirs.app.pk],
        )


def test_web_can_not_write_a_row_for_another_organization() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")

    with (
        pytest.raises(Exception, match="row-level security policy"),
        tenant(ours.organization.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "UPDATE app SET organization_id = %s WHERE id = %s",
            [theirs.organization.pk, ours.app.pk],
        )


def test_a_partition_can_not_be_read_around_its_parent() -> None:
    live_through("Gem Harbor")
    ((partition,),) = rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = %s::regclass ORDER BY 1 LIMIT 1",
        Event._meta.db_table,
    )

    with pytest.raises(Exception, match="permission denied"):
        rows(f"SELECT * FROM {partition}")


def _count(model: type[TenantModel]) -> int:
    ((count,),) = rows(f"SELECT count(*) FROM {model._meta.db_table}")
    return int(str(count))


def _as_owner(statement: str) -> None:
    with as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(statement)
