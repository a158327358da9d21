"""Lists as CSV: all rows, under the same filters, for those who may take them away."""

import csv
import io
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from apps_registry import csv_format
from apps_registry.models import Organization
from apps_registry.roles import Right, Role
from apps_registry.tenancy import tenant as tenant_of
from postbacks.api.routes import router
from tests import make
from tests.api.calling import PROBLEM, Program, make_postback, owner_of, report
from tests.insights.credits import make_install, make_touches
from tests.refusals import make_refusal

pytestmark = pytest.mark.django_db(transaction=True)

LISTS = [path for path, view, _ in router.registry if "list" in view.rights]
_KEYS = {"v1/events": "event_id", "v1/partner-templates": "name"}


def _get(token: str, path: str, **query: str) -> HttpResponse:
    client = Client(headers={"Authorization": f"Bearer {token}", "Accept": "text/csv"})
    return client.get(path if path.startswith("http") else f"/api/{path}", query)


def _rows(answer) -> list[dict[str, str]]:
    text = b"".join(answer).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


_INSTALL_COLUMNS = {
    "event_id",
    "id",
    "app",
    "install_id",
    "kind",
    "state",
    "platform",
    "installed_at",
    "received_at",
    "attribution_version",
    "attribution_type",
    "attribution_method",
    "attribution_partner",
    "attribution_partner_name",
    "attribution_campaign",
    "attribution_campaign_name",
    "attribution_touchpoint",
    "attribution_touched_at",
    "attribution_window_seconds",
    "candidates",
    "rejections",
    "remarks",
}
_TOUCHPOINT_COLUMNS = {
    *("id", "app", "partner", "campaign", "link", "kind", "source", "occurred_at", "received_at"),
    *("click_id", "site_id", "ip_address", "user_agent", "os_name", "os_version", "device_model"),
    *("language", "country", "params"),
    *("outcome_status", "outcome_reason", "outcome_sentence", "outcome_install"),
}
_COLUMNS = {"v1/installs": _INSTALL_COLUMNS, "v1/touchpoints": _TOUCHPOINT_COLUMNS}


def test_an_installs_credit_has_columns_of_its_own() -> None:
    made = make.make_tenant()
    with tenant_of(made.organization.pk):
        link = make.make_link(make.make_campaign(made.app, make.make_partner(), "Summer sale"))
    make_install(link, datetime.now(UTC))

    (row,) = _rows(_get(made.api_token, "v1/installs"))

    assert (row["attribution_type"], row["attribution_campaign_name"]) == ("click", "Summer sale")
    assert row["attribution_partner_name"] == link.campaign.partner.name
    assert row["attribution_campaign"] == str(link.campaign.public_id)
    assert row["candidates"] == "0"


@pytest.mark.parametrize("path", LISTS)
def test_every_list_comes_as_csv_with_the_fields_of_its_json(path: str) -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        partner = make.make_partner(credentials={"api_key": "hidden-1234567"})
        link = make.make_link(make.make_campaign(tenant.app, partner))
        make.make_skan_postback(tenant.app)
        make.make_click_key(partner, "hidden-1234567")
        make.make_test_device()
        make.make_export_schedule()
        rule = make.make_rule()
    make_postback(rule, report(tenant.sdk_key), attempts=1)
    make_install(link, datetime.now(UTC))
    make_touches(link, datetime.now(UTC))
    make_refusal(tenant)
    owner_of(tenant).post("replays", {"filter": {}})
    owner_of(tenant).post("exports", {"list": "events"})
    owner_of(tenant).post("alerts", {"kind": "no_events"})
    view = {"list": "postbacks", "name": "Failed", "filters": {"status": "failed"}, "shared": True}
    owner_of(tenant).post("saved-views", view)
    listed = {"partner": str(partner.public_id), "ids": ["a"]}
    owner_of(tenant).post("discrepancies", listed)
    make.make_invitation(tenant.organization)
    owner_of(tenant).post("organization/signing-secrets/rotate", {})
    owner_of(tenant).post("attribution-settings", {"click_window_hours": 24})

    answer = _get(tenant.api_token, path)
    rows = _rows(answer)
    listed = owner_of(tenant).rows(f"/api/{path}")

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert set(rows[0]) == _COLUMNS.get(path, set(listed[0]))
    assert len(rows) == len(listed)
    key = _KEYS.get(path, "id")
    assert [row[key] for row in rows] == [row[key] for row in listed]
    assert "hidden-1234567" not in str(rows)
    assert not any("hash" in name for name in rows[0])


def test_all_rows_come_and_not_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 2)
    tenant = make.make_tenant()
    ids = Program(tenant.sdk_key).post("events", [{"event_name": "open"}] * 7).data["ids"]

    rows = _rows(_get(tenant.api_token, "v1/events", limit="1"))

    assert sorted(row["event_id"] for row in rows) == sorted(ids)


def test_filters_count_and_a_wrong_one_is_refused() -> None:
    tenant = make.make_tenant()
    report(tenant.sdk_key, event_name="open")
    bought = report(tenant.sdk_key, event_name="purchase")

    rows = _rows(_get(tenant.api_token, "v1/events", event_name="purchase"))
    refused = _get(tenant.api_token, "v1/events", nonsense="1")

    assert [row["event_id"] for row in rows] == [bought]
    assert (refused.status_code, refused["Content-Type"]) == (400, PROBLEM)


def test_what_is_beyond_the_limit_is_led_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "MAX_ROWS", 3)
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 2)
    tenant = make.make_tenant()
    ids = Program(tenant.sdk_key).post("events", [{"event_name": "open"}] * 5).data["ids"]

    first = _get(tenant.api_token, "v1/events")
    address, rel = first["Link"].split("; ")
    rest = _get(tenant.api_token, address.strip("<>"))

    assert rel == 'rel="next"'
    assert "Link" not in rest
    both = [row["event_id"] for answer in (first, rest) for row in _rows(answer)]
    assert (len(both), set(both)) == (5, set(ids))


def test_a_cursor_that_looks_back_is_refused() -> None:
    tenant = make.make_tenant()
    Program(tenant.sdk_key).post("events", [{"event_name": "open"}] * 3)
    api = owner_of(tenant)
    second = api.get(api.get("events", limit=1).data["next"])

    answer = _get(tenant.api_token, second.data["previous"])

    assert answer.status_code == 400
    assert "next" in answer.json()["errors"][0]["detail"]


def test_texts_are_harmless_and_numbers_stay_numbers() -> None:
    tenant = make.make_tenant()
    params = {"=cmd": 1}
    report(
        tenant.sdk_key,
        event_name="=1+1",
        customer_user_id="@SUM(A1)",
        revenue="-4.99",
        currency="USD",
        params=params,
    )

    (row,) = _rows(_get(tenant.api_token, "v1/events"))

    assert (row["event_name"], row["customer_user_id"]) == ("'=1+1", "'@SUM(A1)")
    assert row["revenue"].startswith("-4.99")
    assert row["received_at"].endswith("Z")
    assert row["params"] == '{"=cmd": 1}'


def test_the_file_is_named_safely() -> None:
    tenant = make.make_tenant()
    Organization.objects.update(name='"\r\nSet-Cookie: a=b')

    answer = _get(tenant.api_token, "v1/apps")

    assert answer["Content-Disposition"].startswith('attachment; filename="apps-set-cookie-ab-20')
    assert "Set-Cookie" not in answer


@pytest.mark.parametrize("role", Role.values)
def test_every_role_that_may_export_may(role: str) -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        token = make.make_api_token(role)

    assert _get(token, "v1/apps").status_code == 200


@pytest.mark.parametrize("path", LISTS)
def test_a_role_that_may_not_export_takes_nothing_away(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make.make_tenant()
    rights = {Role.OWNER: frozenset(Right) - {Right.EXPORT}}
    monkeypatch.setattr("apps_registry.roles.RIGHTS", rights)

    answer = _get(tenant.api_token, path)

    assert (answer.status_code, answer["Content-Type"]) == (403, PROBLEM)
    assert owner_of(tenant).get(f"/api/{path}").status == 200


def test_one_row_does_not_come_as_csv() -> None:
    tenant = make.make_tenant()

    assert _get(tenant.api_token, f"v1/apps/{tenant.app.public_id}").status_code == 406


def test_no_transaction_stays_open_while_somebody_reads_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 1)
    tenant = make.make_tenant()
    Program(tenant.sdk_key).post("events", [{"event_name": "open"}] * 3)

    answer = _get(tenant.api_token, "v1/events")
    open_between = [connection.in_atomic_block for _ in answer.streaming_content]

    assert open_between == [False] * len(open_between)
    assert len(open_between) == 5  # the names, three rows, and the look beyond
