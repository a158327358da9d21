"""Attribution settings as programs read and write them."""

import pytest

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import owner_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant(transactional_db: None) -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def link(tenant: make.Tenant) -> TrackingLink:
    with tenant_of(tenant.organization.pk):
        return make.make_link(make.make_campaign(tenant.app, make.make_partner()))


def test_settings_of_a_partner_in_an_app_are_made_changed_and_deleted(tenant, link) -> None:
    api = owner_of(tenant)
    whose = {
        "app": str(tenant.app.public_id),
        "partner": str(link.campaign.partner.public_id),
        "link": None,
    }

    made = api.post("attribution-settings", {**whose, "click_window_hours": 24})
    path = f"attribution-settings/{made.data['id']}"
    changed = api.patch(path, {"click_window_hours": None, "probabilistic_clicks": False})
    deleted = api.delete(path)

    assert (made.status, made.data["click_window_hours"]) == (201, 24)
    assert {name: changed.data[name] for name in whose} == whose
    assert (changed.data["click_window_hours"], changed.data["probabilistic_clicks"]) == (
        None,
        False,
    )
    assert (deleted.status, api.get(path).status) == (204, 404)


def test_without_an_owner_settings_hold_for_all_apps_and_there_is_one_row(tenant) -> None:
    api = owner_of(tenant)

    first = api.post("attribution-settings", {"inactivity_days": 0})
    again = api.post("attribution-settings", {"inactivity_days": 5})

    assert (first.data["app"], first.data["partner"], first.data["link"]) == (None, None, None)
    assert first.data["inactivity_days"] == 0
    assert again.status == 400
    assert "exist already" in again.details()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("click_window_hours", 721),
        ("impression_window_hours", 0),
        ("reinstall_events", "mine"),
        ("probabilistic_clicks", "perhaps"),
        ("inactivity_days", -1),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(tenant, field, value) -> None:
    answer = owner_of(tenant).post("attribution-settings", {field: value})

    assert (answer.status, answer.pointers()) == (400, [f"/{field}"])


def test_whom_settings_are_for_is_said_once(tenant, link) -> None:
    api = owner_of(tenant)
    own, app = str(link.public_id), str(tenant.app.public_id)

    both = api.post("attribution-settings", {"link": own, "app": app})
    made = api.post("attribution-settings", {"link": own, "click_window_hours": 24})
    moved = api.patch(f"attribution-settings/{made.data['id']}", {"link": None, "app": app})
    again = api.put(f"attribution-settings/{made.data['id']}", made.data)

    assert (both.status, both.pointers()) == (400, ["/link"])
    assert (moved.status, set(moved.pointers())) == (400, {"/link", "/app"})
    assert (again.status, again.data) == (200, made.data)


def test_settings_are_filtered_by_whom_they_are_for(tenant, link) -> None:
    api = owner_of(tenant)
    app = str(tenant.app.public_id)
    api.post("attribution-settings", {"click_window_hours": 24})
    own = api.post("attribution-settings", {"app": app, "click_window_hours": 48}).data

    assert api.rows("attribution-settings", app=app) == [own]
    assert len(api.rows("attribution-settings")) == 2


def test_another_organizations_rows_are_unknown(tenant, link) -> None:
    stranger = owner_of(make.make_tenant("Stranger"))

    answer = stranger.post("attribution-settings", {"link": str(link.public_id)})

    assert (answer.status, answer.pointers()) == (400, ["/link"])
