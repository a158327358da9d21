"""Test devices: what the mark exempts, whom, for how long, and under which spellings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from apps_registry.models import AuditEntry
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.attribution.settings import load_settings
from postbacks.infrastructure.database import roles
from postbacks.models import ErasureMode, TestDevice
from postbacks.privacy.device_marks import delete_ended_marks
from postbacks.privacy.erasure import work as erase
from postbacks.privacy.requests import DeviceToErase, request_erasure
from tests import database, make
from tests.admin.pages import sign_in, submit
from tests.api.calling import Answer, Program, owner_of, report
from tests.touches import GAID, make_network
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN = GAID.replace("-", "")
_OF_THE_APP = {"install_id", "web_id", "customer_user_id"}
REJECTED = "rejected:engagement_injection"


class Trial:
    """A tenant whose tester clicks and opens the app."""

    def __init__(self) -> None:
        self.tenant = make.make_tenant()
        _, self.link = make_network(self.tenant)
        self.api = owner_of(self.tenant)

    def mark(self, **fields: object) -> Answer:
        return self.api.post("test-devices", {"name": "Anna's Pixel 8", "days": 7, **fields})

    def install(
        self, *, seconds: float = 1, clicks: int = 1, of: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Click, and install so many seconds later; return the install as the API has it."""
        ids = of or {"gaid": GAID}
        # A click knows no id that the app alone makes.
        known = {"gaid": GAID} if ids.keys() & _OF_THE_APP else ids
        opened = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
        clicked = (opened - timedelta(seconds=seconds)).isoformat()
        for number in range(clicks):
            click = {"link": self.link.token, "occurred_at": clicked, "click_id": f"c{number}"}
            answer = Program(self.tenant.sdk_key).post("touchpoints", {**click, **known})
            assert answer.status == 202, answer.data
        report(
            self.tenant.sdk_key,
            event_name="install",
            event_time=opened.isoformat(),
            **{**known, **ids},
        )
        work()
        row: dict[str, Any] = self.api.rows("installs")[0]
        return row


@pytest.fixture
def tester() -> Trial:
    return Trial()


def _reason(install: dict[str, Any]) -> str:
    return str(install["candidates"][0]["reason"])


def _end_marks(*, ago: timedelta) -> None:
    with psycopg.connect(database.superuser_conninfo()) as superuser:
        superuser.execute(
            "UPDATE test_device SET created_at = created_at - interval '40 days', "
            "ends_at = now() - %s",
            [ago],
        )


def test_a_second_after_the_click_is_fraud_without_the_mark_and_credited_with_it() -> None:
    unmarked, marked = Trial(), Trial()
    marked.mark(gaid=GAID)

    assert _reason(unmarked.install()) == REJECTED
    install = marked.install()
    assert (_reason(install), install["rejections"]) == ("won", [])
    assert "test_device" in [remark["code"] for remark in install["remarks"]]


@pytest.mark.parametrize("seconds", [0, 0.5, 1, 1.9, -1, 30])
def test_a_test_device_may_be_as_quick_as_it_likes(tester: Trial, seconds: float) -> None:
    tester.api.post("attribution-settings", {"least_seconds_to_install": 60})
    tester.mark(gaid=GAID)

    assert _reason(tester.install(seconds=seconds)) == "won"


@pytest.mark.parametrize(
    ("marked_as", "reported_as"),
    [
        ({"gaid": PLAIN.upper()}, {"gaid": GAID}),
        ({"gaid": f"{{{GAID.upper()}}}"}, {"gaid": GAID}),
        ({"gaid": GAID}, {"gaid": PLAIN}),
        ({"advertising_id": GAID.upper()}, {"gaid": GAID}),
        ({"gaid": GAID}, {"advertising_id": PLAIN}),
        ({"idfa": GAID}, {"idfa": GAID.upper()}),
        ({"idfa": PLAIN}, {"idfa": GAID.upper()}),
        ({"oaid": PLAIN}, {"oaid": GAID}),
        ({"amazon_id": GAID.upper()}, {"amazon_id": GAID}),
        ({"idfv": PLAIN.upper()}, {"idfv": GAID}),
        ({"idfv": GAID}, {"idfv": GAID.upper()}),
        ({"app_set_id": PLAIN}, {"app_set_id": GAID}),
        ({"android_id": "A1B2C3D4E5F60718"}, {"android_id": "a1b2c3d4e5f60718"}),
        ({"install_id": PLAIN}, {"install_id": GAID}),
        ({"install_id": GAID.upper()}, {"install_id": GAID}),
        ({"install_id": " own-Id-1 "}, {"install_id": "own-Id-1"}),
        ({"customer_user_id": "tester-7"}, {"customer_user_id": "tester-7"}),
    ],
)
def test_any_id_in_any_spelling_names_the_device(
    tester: Trial, marked_as: dict[str, str], reported_as: dict[str, str]
) -> None:
    marked = tester.mark(**marked_as)
    assert marked.status == 201, marked.data

    install = tester.install(of=reported_as)

    assert "test_device" in [remark["code"] for remark in install["remarks"]], install
    assert install["rejections"] == []
    assert _reason(install) == "won"


def test_a_web_id_names_the_device_too(tester: Trial) -> None:
    tester.mark(web_id=PLAIN.upper())

    assert _reason(tester.install(of={"gaid": GAID, "web_id": GAID})) == "won"


def test_many_clicks_of_a_tester_are_none_too_many() -> None:
    unmarked, marked = Trial(), Trial()
    marked.mark(gaid=GAID)

    assert _reason(unmarked.install(seconds=30, clicks=12)) == "rejected:too_many_engagements"
    assert _reason(marked.install(seconds=30, clicks=12)) == "won"


def test_a_mark_that_has_ended_exempts_no_more(tester: Trial) -> None:
    tester.mark(gaid=GAID)
    _end_marks(ago=timedelta(seconds=1))

    assert _reason(tester.install()) == REJECTED


def test_a_mark_that_was_removed_exempts_no_more(tester: Trial) -> None:
    made = tester.mark(gaid=GAID)
    gone = tester.api.delete(f"test-devices/{made.data['id']}")

    assert (gone.status, tester.api.rows("test-devices")) == (204, [])
    assert _reason(tester.install()) == REJECTED


def test_the_mark_of_another_organization_or_device_does_nothing(tester: Trial) -> None:
    Trial().mark(gaid=GAID)
    tester.mark(gaid="00000000-8cf0-11bd-b23e-10b96e40000d")

    assert _reason(tester.install()) == REJECTED


def test_only_organizations_with_test_devices_are_looked_up(
    tester: Trial,
) -> None:
    key = (tester.tenant.organization.pk, tester.tenant.app.pk)
    with tenant(key[0]):
        before = load_settings([key])[key].has_test_devices
        make.make_test_device()
        after = load_settings([key])[key].has_test_devices

    assert (before, after) == (False, True)


@pytest.mark.parametrize(
    ("fields", "pointer", "words"),
    [
        ({"gaid": GAID, "days": 0}, "/days", "0 days are not possible. Write a number from 1 to"),
        ({"gaid": GAID, "days": 31}, "/days", "Write a number from 1 to 30."),
        ({"gaid": GAID, "days": "soon"}, "/days", ""),
        ({"gaid": "abc"}, "/gaid", "not an ID of this kind"),
        ({"gaid": "00000000-0000-0000-0000-000000000000"}, "/gaid", ""),
        ({"install_id": "null"}, "/install_id", ""),
        ({"install_id": "x" * 300}, "/install_id", "300 characters"),
        ({"idfa": GAID, "idfv": GAID}, "/idfv", "Send one"),
        ({"udid": GAID}, "/udid", "There is no field"),
        ({"gaid": GAID, "name": ""}, "/name", ""),
        ({"gaid": GAID, "name": "x" * 101}, "/name", ""),
    ],
)
def test_what_marks_no_device_is_refused_with_the_remedy(
    tester: Trial, fields: dict[str, object], pointer: str, words: str
) -> None:
    answer = tester.mark(**fields)

    assert answer.status == 400
    assert answer.pointers() == [pointer]
    assert words in answer.details()


def test_a_mark_without_an_id_is_refused(tester: Trial) -> None:
    answer = tester.mark()

    assert answer.status == 400
    assert "Name the device by one of: install_id" in answer.details()


def test_a_device_is_marked_once_and_again_when_it_has_ended(tester: Trial) -> None:
    first = tester.mark(gaid=GAID)
    second = tester.mark(gaid=PLAIN.upper(), name="The same")
    _end_marks(ago=timedelta(minutes=1))
    third = tester.mark(advertising_id=GAID, name="Again", days=30)

    assert first.data["ending"] == "000d"
    assert GAID not in str(first.data)
    assert second.status == 400
    assert "marked already, as “Anna's Pixel 8”" in second.details()
    assert third.status == 201, third.data
    assert [row["name"] for row in tester.api.rows("test-devices")] == ["Again"]


def test_a_second_press_at_the_same_moment_gets_the_mark_of_the_first(tester: Trial) -> None:
    with tenant(tester.tenant.organization.pk):
        first, second = (make.make_test_device(gaid=form) for form in (GAID, GAID.upper()))

        assert (second.pk, second.public_id) == (first.pk, first.public_id)
        assert TestDevice.objects.count() == 1


def test_the_page_lists_adds_and_removes(tester: Trial) -> None:
    browser = sign_in(tester.tenant.owner)
    path = "/admin/postbacks/testdevice/"
    form = {"name": "Ben's phone", "id_kind": "gaid", "value": PLAIN.upper(), "days": "3"}

    wrong = submit(browser, f"{path}add/", {**form, "days": "31"}).content.decode()
    submit(browser, f"{path}add/", form)
    again = submit(browser, f"{path}add/", form).content.decode()
    listed = browser.get(path).content.decode()
    credited = _reason(tester.install())
    with tenant(tester.tenant.organization.pk):
        row = TestDevice.objects.get()
        detail = browser.get(f"{path}{row.pk}/change/").content.decode()
    chosen = {"action": "remove", "_selected_action": row.pk, "confirmed": "1"}
    browser.post(path, chosen)

    assert "Write a number from 1 to 30." in wrong
    assert "This device is marked already" in again
    assert "Ben&#x27;s phone" in listed
    assert "•••000D" in detail
    assert row.ends_at - row.created_at == timedelta(days=3)
    assert credited == "won"
    with tenant(tester.tenant.organization.pk):
        assert not TestDevice.objects.exists()
        actions = AuditEntry.objects.filter(object_id=str(row.public_id)).order_by("id")
        assert [entry.action for entry in actions] == ["created", "deleted"]


@pytest.mark.parametrize(
    ("mode", "left"), [(ErasureMode.FORGET, 0), (ErasureMode.RESET, 1)], ids=str
)
def test_forgetting_a_device_removes_its_mark_and_a_reset_leaves_it(
    tester: Trial, mode: ErasureMode, left: int
) -> None:
    tester.mark(gaid=GAID)
    organization = tester.tenant.organization.pk
    with tenant(organization):
        ids = {"gaid": PLAIN.upper()}
        request_erasure(DeviceToErase(organization, tester.tenant.app.pk, ids, mode))
    with database.as_role(roles.WORKER):
        erase(20, last_pass_after=timedelta(0))

    assert len(tester.api.rows("test-devices")) == left


def test_an_ended_mark_is_deleted_two_days_later(tester: Trial) -> None:
    tester.mark(gaid=GAID)

    for ago, left in ((timedelta(days=1), 1), (timedelta(days=2, minutes=1), 0)):
        _end_marks(ago=ago)
        with database.as_role(roles.WORKER):
            delete_ended_marks()
        assert len(tester.api.rows("test-devices")) == left


def test_an_install_that_is_judged_again_after_the_mark_s_end_keeps_its_credit(
    tester: Trial,
) -> None:
    tester.mark(gaid=GAID)
    tester.install()

    with psycopg.connect(database.superuser_conninfo()) as superuser:
        superuser.execute("UPDATE test_device SET ends_at = now()")
        superuser.execute("UPDATE unsettled_install SET due_at = now() - interval '1 second'")
    late = datetime.now(UTC) - timedelta(hours=2)
    click = {"link": tester.link.token, "occurred_at": late.isoformat(), "gaid": GAID}
    Program(tester.tenant.sdk_key).post("touchpoints", click)
    with database.as_role(roles.WORKER):
        pipeline.reattribute_installs()

    (install,) = tester.api.rows("installs")
    assert [candidate["reason"] for candidate in install["candidates"]] == ["won", "older"]
    assert install["rejections"] == []
