"""A callback URL may hold a key: only who may set up alerts sees more of it than its host."""

import importlib

import pytest
from django.http import HttpResponseBase

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.links import masked_address
from apps_registry.models import ApiToken, AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import Alert
from tests import make
from tests.admin.pages import sign_in
from tests.alerts.scenes import make_tenant_alert
from tests.api.calling import Program, program_of
from tests.database import superuser

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "s3cr3t-key"
URL = f"https://user:{KEY}@hooks.example.com/services/{KEY}?token={KEY}#{KEY}"
MASKED = "https://hooks.example.com/•••"


@pytest.fixture
def gem() -> make.Tenant:
    made = make.make_tenant()
    make_tenant_alert(made, webhook_url="https://hooks.example.com/first")
    with tenant(made.organization.pk):
        alert = Alert.objects.get()
        alert.webhook_url = URL
        alert.save()
    return made


def reader_of(of: make.Tenant) -> Program:
    """Return a program with an owner's token that may only read and export."""
    api = program_of(Role.OWNER, of)
    with tenant(of.organization.pk):
        ApiToken.objects.update(scopes=["read", "export"])
    return api


def text_of(answer: HttpResponseBase) -> str:
    parts = answer.streaming_content if answer.streaming else [answer.content]
    return b"".join(parts).decode()


@pytest.mark.parametrize("door", ["analyst", "owner's read token"])
def test_who_may_not_set_up_alerts_sees_the_host_alone(gem: make.Tenant, door: str) -> None:
    api = program_of(Role.ANALYST, gem) if door == "analyst" else reader_of(gem)

    (row,) = api.get("alerts").data["results"]
    answers = [
        text_of(api.client.get("/api/v1/alerts", headers={"Accept": "text/csv"})),
        *(str(api.get(path).data) for path in ("alerts", f"alerts/{row['id']}")),
        *(str(api.get(path).data) for path in ("audit-log", "organization/export")),
    ]

    assert row["webhook_url"] == MASKED
    assert not [answer for answer in answers if KEY in answer]


@pytest.mark.parametrize("role", [Role.OWNER, Role.MARKETER])
def test_who_may_set_up_alerts_sees_all_of_it(gem: make.Tenant, role: Role) -> None:
    api = program_of(role, gem)

    (row,) = api.get("alerts").data["results"]
    (part,) = api.get("organization/export").data["alerts"]

    assert (row["webhook_url"], part["webhook_url"]) == (URL, URL)


def test_no_page_shows_an_analyst_more_than_the_host(gem: make.Tenant) -> None:
    browser = sign_in(make.make_user(Role.ANALYST, organization=gem.organization))
    with tenant(gem.organization.pk):
        alert = Alert.objects.get()
    form = browser.get(f"/admin/postbacks/alert/{alert.pk}/change/").content.decode()

    assert MASKED in form
    for page in (
        f"alert/{alert.pk}/change/",
        *("alert/", "alert/export/", f"alert/{alert.pk}/news/", f"alert/{alert.pk}/history/"),
    ):
        assert KEY not in text_of(browser.get(f"/admin/postbacks/{page}")), page
    for page in ("configuration/export/", "apps_registry/auditentry/"):
        assert KEY not in text_of(browser.get(f"/admin/{page}")), page


def test_the_audit_log_has_no_more_than_the_host(gem: make.Tenant) -> None:
    with tenant(gem.organization.pk):
        entries = AuditEntry.objects.filter(object_type="alert").order_by("id")
        changes = [entry.changes for entry in entries]

    assert changes[-1] == {"webhook_url": [MASKED, MASKED]}
    assert KEY not in str(changes)


def test_a_configuration_without_callback_urls_leaves_them(gem: make.Tenant) -> None:
    document = program_of(Role.ANALYST, gem).get("organization/export").data
    assert "webhook_url" not in document["alerts"][0]

    brought_in = program_of(Role.OWNER, gem).post("organization/import", document)

    assert brought_in.status == 200, brought_in.data
    with tenant(gem.organization.pk):
        assert Alert.objects.get().webhook_url == URL


def test_what_the_audit_log_kept_before_is_masked(gem: make.Tenant) -> None:
    plain = "https://hooks.example.com"
    with tenant(gem.organization.pk):
        alert = Alert.objects.get()
        log_action(Action.CHANGED, alert, changes={"webhook_url": ["", URL], "name": ["a", URL]})
        log_action(Action.CHANGED, alert, changes={"webhook_url": [URL, plain]})
        log_action(Action.DELETED, alert, changes={"webhook_url": [plain, None]})
    migration = importlib.import_module("apps_registry.migrations.0021_mask_callback_addresses")

    with superuser().transaction():
        superuser().execute("SET LOCAL ROLE postbacks_owner")
        superuser().execute(migration.MASK)

    with tenant(gem.organization.pk):
        entries = AuditEntry.objects.filter(object_type="alert").order_by("id")
        changes = [entry.changes for entry in entries][-3:]
    assert changes == [
        {"webhook_url": ["", MASKED], "name": ["a", URL]},
        {"webhook_url": [MASKED, plain]},
        {"webhook_url": [plain, None]},
    ]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("", ""),
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("https://hooks.example.com:8443/", "https://hooks.example.com:8443/"),
        ("https://hooks.example.com:8443/a", "https://hooks.example.com:8443/•••"),
        ("https://hooks.example.com?a", MASKED),
        ("https://key@hooks.example.com", MASKED),
        ("https://hooks.example.com#key", MASKED),
        ("https://[::1", "•••"),
        ("no address", "•••"),
    ],
)
def test_an_address_keeps_its_host(address: str, shown: str) -> None:
    assert masked_address(address) == shown
