"""A saved view is about kinds of rows: no filter of it outlives the erasure of whom it names."""

import pytest

from apps_registry.tenancy import tenant
from postbacks.admin.installs.admin import InstallFilter
from postbacks.admin.logs.audit_log import AuditFilter
from postbacks.admin.logs.filters import EventFilter, LogFilter, PostbackFilter
from postbacks.admin.logs.refused_events import RefusalFilter
from postbacks.admin.logs.skan import SkanFilter
from postbacks.admin.touchpoints import TouchpointFilter
from postbacks.models import SavedView
from tests import make
from tests.api.calling import owner_of

pytestmark = pytest.mark.django_db(transaction=True)

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"
OF_ONE = {"q", "text", "who", "object", "device"}
FILTERS = [
    *(AuditFilter, EventFilter, InstallFilter, PostbackFilter, RefusalFilter, SkanFilter),
    TouchpointFilter,
]


def saved_filters(of: make.Tenant, filters: dict[str, str]) -> dict[str, str]:
    """Save a view with these filters by the API; return those that are kept."""
    view = {"list": "events", "name": "Mine", "shared": True, "filters": filters}
    answer = owner_of(of).post("saved-views", view)
    assert answer.status == 201, answer.data
    with tenant(of.organization.pk):
        assert SavedView.objects.count() == 1
    return answer.data["filters"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "maria") for name in ("customer_user_id", "install_id", "device", "Q", "q__in")),
        *((name, GAID) for name in ("gaid", "event_id", "click_id", "nonsense", GAID)),
        ("event", GAID),
        ("event", GAID.replace("-", "")),
        ("event_name", "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"),
        ("reason", "203.0.113.7"),
        ("reason", "2001:db8::1"),
        ("status", "Maria@example.com"),
    ],
)
def test_a_filter_that_may_name_somebody_is_not_kept(name: str, value: str) -> None:
    kept = {"status": "failed"} if name != "status" else {"code": "5xx"}

    assert saved_filters(make.make_tenant(), {name: value, **kept}) == kept


@pytest.mark.parametrize("filter_class", FILTERS)
def test_all_other_filters_of_a_lists_page_are_kept(filter_class: type[LogFilter]) -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        names = set(filter_class({}).fields)
    values = dict.fromkeys(names - OF_ONE, "1") | {"since": "2026-01-31T18:30"}

    assert saved_filters(made, values) == values
