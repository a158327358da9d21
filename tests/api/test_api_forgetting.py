"""An app or its server has a device forgotten, and what the device sends later is refused."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from apps_registry.crypto import encryption
from apps_registry.key_rotation import rotate
from apps_registry.models import AuditEntry, SdkKey, TrackingLink
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from postbacks.infrastructure.rate_limits.counting import RateLimit
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.models import ErasureRequest, Event, Touchpoint
from postbacks.privacy import tombstones
from postbacks.privacy.erasure import work
from postbacks.values import identifiers
from tests import make
from tests.api.calling import PROBLEM, Program
from tests.database import as_role
from tests.touches import make_network

pytestmark = pytest.mark.django_db(transaction=True)

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"


def _app_key(made: make.Tenant) -> Program:
    with tenant(made.organization.pk):
        return Program(make.make_sdk_key(made.app, kind=SdkKey.Kind.APP))


def _event(**fields: object) -> dict[str, object]:
    return {"event_id": str(uuid4()), "event_name": "purchase", **fields}


def test_what_a_forgotten_device_sends_later_is_refused_and_the_rest_is_taken() -> None:
    made = make.make_tenant()
    server = Program(made.sdk_key)
    request = server.post("forget-device", {"gaid": GAID})

    answer = server.post("events", [_event(gaid=GAID.upper()), _event(gaid=str(uuid4()))])

    assert request.status == 202
    assert set(request.data) == {"id", "state", "detail"}
    assert answer.status == 202
    assert answer.data["accepted"] == 1
    ((rejected,),) = [answer.data["rejected"]]
    assert rejected["index"] == 0
    assert rejected["errors"][0]["pointer"] == "/gaid"
    assert "forgotten on request" in rejected["errors"][0]["detail"]


@pytest.mark.parametrize("kind", tombstones.ID_KINDS)
def test_a_server_key_forgets_a_device_by_any_of_its_ids(kind: str) -> None:
    server = Program(make.make_tenant().sdk_key)
    value = str(uuid4())

    request = server.post("forget-device", {kind: value})
    later = server.post("events", _event(**{kind: value}))

    assert request.status == 202
    assert later.status == 422
    assert later.data["rejected"][0]["errors"][0]["pointer"] == f"/{kind}"


def test_a_server_key_follows_the_work() -> None:
    made = make.make_tenant()
    server = Program(made.sdk_key)
    server.post("events", _event(install_id="i-1", gaid=GAID))
    id_ = server.post("forget-device", {"gaid": GAID}).data["id"]

    before = server.get(f"forget-device/{id_}")
    with as_role(roles.WORKER):
        work(60.0, last_pass_after=timedelta(0))
    after = server.get(f"forget-device/{id_}")

    assert set(before.data) == {"id", "mode", "state", "asked_at", "finished_at", "counts"}
    assert (before.status, before.data["state"], before.data["finished_at"]) == (
        200,
        "waiting",
        None,
    )
    assert (after.data["id"], after.data["state"]) == (id_, "done")
    assert after.data["finished_at"] > after.data["asked_at"]
    assert after.data["counts"]["event"] == 1


def test_only_a_server_key_of_the_app_follows_the_work() -> None:
    made = make.make_tenant()
    id_ = Program(made.sdk_key).post("forget-device", {"gaid": GAID}).data["id"]

    answers = [
        program.get(f"forget-device/{id_}")
        for program in (_app_key(made), Program(make.make_tenant().sdk_key), Program("pbk_x"))
    ]

    assert [answer.status for answer in answers] == [403, 404, 401]


def test_the_ids_that_a_device_had_before_are_refused_too() -> None:
    made = make.make_tenant()
    server = Program(made.sdk_key)
    server.post("events", _event(install_id="i-1", gaid=GAID))
    server.post("forget-device", {"install_id": "i-1"})
    with as_role(roles.WORKER):
        work(10.0)

    later = server.post("events", _event(install_id="i-2", gaid=GAID))

    assert later.status == 422
    with tenant(made.organization.pk):
        (event,) = Event.objects.all()
        assert (event.device.partition(":")[0], event.fields) == ("erased", {})


def test_the_other_ids_of_a_known_device_are_refused_at_once() -> None:
    made = make.make_tenant()
    server = Program(made.sdk_key)
    server.post("events", _event(event_name="install", install_id="i-1", gaid=GAID))
    with as_role(roles.WORKER):
        while pipeline.work():
            pass

    server.post("forget-device", {"gaid": GAID})
    later = server.post("events", _event(install_id="i-1"))

    assert later.status == 422


def test_an_app_key_forgets_by_install_id_only() -> None:
    made = make.make_tenant()
    app = _app_key(made)

    good = app.post("forget-device", {"install_id": "i-1"})
    other = app.post("forget-device", {"gaid": GAID})
    both = app.post("forget-device", {"install_id": "i-1", "gaid": GAID})
    reset = app.post("forget-device", {"install_id": "i-1", "mode": "reset"})

    assert good.status == 202
    assert [a.status for a in (other, both, reset)] == [403, 403, 403]
    assert other.content_type == PROBLEM
    assert "install_id" in other.data["detail"]
    assert "server key" in other.data["detail"]


def test_asking_again_answers_the_same() -> None:
    server = Program(make.make_tenant().sdk_key)

    first = server.post("forget-device", {"gaid": GAID})
    again = server.post("forget-device", {"advertising_id": GAID})
    same = server.post("forget-device", {"gaid": GAID.upper()})

    assert first.data["id"] == same.data["id"]
    assert again.status == 202


@pytest.mark.parametrize(
    ("body", "pointer", "word"),
    [
        ({}, "", "install_id"),
        ([], "", "object"),
        ({"device": "x"}, "/device", "gaid"),
        ({"gaid": 7}, "/gaid", "text"),
        ({"gaid": ""}, "/gaid", "1 to 255"),
        ({"gaid": "x" * 256}, "/gaid", "1 to 255"),
        ({"gaid": "00000000-0000-0000-0000-000000000000"}, "/gaid", "instead of an ID"),
        ({"gaid": "null"}, "/gaid", "instead of an ID"),
        ({"customer_user_id": "guest"}, "/customer_user_id", "instead of an ID"),
        ({"install_id": "{install_id}"}, "/install_id", "macro"),
        ({"gaid": GAID, "mode": "hide"}, "/mode", "reset"),
    ],
)
def test_what_can_not_be_a_device_is_refused_with_a_remedy(
    body: object, pointer: str, word: str
) -> None:
    server = Program(make.make_tenant().sdk_key)

    answer = server.post("forget-device", body)

    assert answer.status == 400
    assert answer.content_type == PROBLEM
    assert answer.pointers() == [pointer]
    assert word in answer.details()


@pytest.mark.parametrize(
    "sent",
    [
        "\ud83d",
        ["\ud83d"],
        {"advertising_id": "\ud83d"},
        {"gaid": GAID, "mode": "\ud83d"},
        {"install_id": ["\ud83d"]},
        {"gaid": "a\x00b"},
    ],
)
def test_half_a_character_names_no_device(sent: object) -> None:
    server = Program(make.make_tenant().sdk_key)

    refused = server.post("forget-device", sent)

    assert (refused.status, refused.content_type) == (400, PROBLEM)


@pytest.mark.parametrize(
    ("door", "sent"), [("events", {"events": "\ud83d"}), ("touchpoints", {"touchpoints": "\ud83d"})]
)
def test_half_a_character_in_place_of_a_list_is_refused(door: str, sent: object) -> None:
    server = Program(make.make_tenant().sdk_key)

    refused = server.post(door, sent)

    assert (refused.status, refused.content_type) == (400, PROBLEM)


def test_a_word_beside_an_id_is_left_out_and_the_device_is_forgotten() -> None:
    server = Program(make.make_tenant().sdk_key)

    answer = server.post("forget-device", {"gaid": GAID, "idfv": "null", "install_id": "0"})
    later = server.post("events", [_event(gaid=GAID), _event(idfv="null", gaid=str(uuid4()))])

    assert answer.status == 202
    assert {warning["pointer"] for warning in answer.data["warnings"]} == {"/idfv", "/install_id"}
    assert (later.data["accepted"], [r["index"] for r in later.data["rejected"]]) == (1, [0])


def test_a_key_that_asks_too_often_is_told_to_wait(settings: Settings) -> None:
    settings.RATE_LIMIT_ERASURES = RateLimit(2, 60)
    server = Program(make.make_tenant().sdk_key)

    answers = [server.post("forget-device", {"gaid": str(uuid4())}) for _ in range(3)]

    assert [answer.status for answer in answers] == [202, 202, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_neither_a_stranger_nor_an_api_token_forgets_devices() -> None:
    made = make.make_tenant()

    unknown = Program("pbk_nobody").post("forget-device", {"gaid": GAID})
    token = Program(made.api_token).post("forget-device", {"gaid": GAID})

    assert (unknown.status, token.status) == (401, 403)


def test_the_audit_log_tells_that_a_key_asked_and_not_for_whom() -> None:
    made = make.make_tenant()

    Program(made.sdk_key).post("forget-device", {"gaid": GAID})
    Program(made.sdk_key).post("forget-device", {"gaid": GAID})

    with tenant(made.organization.pk):
        entries = AuditEntry.objects.filter(object_type="erasure_request").order_by("id")
        assert [(e.action, e.actor_kind) for e in entries] == [
            ("created", "sdk_key"),
            ("repeated", "sdk_key"),
        ]
        assert all(GAID not in str(vars(entry)) for entry in entries)


def test_touchpoints_of_a_forgotten_device_are_not_kept() -> None:
    made = make.make_tenant()
    Program(made.sdk_key).post("forget-device", {"gaid": GAID})
    with tenant(made.organization.pk):
        link = make.make_link(make.make_campaign(made.app, make.make_partner()))
        hashed = identifiers.hashed_identifiers({"gaid": GAID})
        names = [f"advertising:{GAID}", *hashed, "advertising:somebody-else"]

        recorded = record_touchpoints([_click(made, link, name) for name in names])

        assert [touchpoint.is_new for touchpoint in recorded] == [False] * (len(names) - 1) + [True]
        assert Touchpoint.objects.count() == 1


def test_another_organization_goes_on_to_know_the_device() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    Program(ours.sdk_key).post("forget-device", {"gaid": GAID})

    answer = Program(theirs.sdk_key).post("events", _event(gaid=GAID))

    assert answer.status == 202


def test_tombstones_survive_a_rotation_of_the_encryption_keys(settings: Settings) -> None:
    server = Program(make.make_tenant().sdk_key)
    server.post("forget-device", {"gaid": GAID})
    old = settings.FIELD_ENCRYPTION_KEYS
    fresh = {"k9": next(iter(old.values()))[::-1].replace("=", "A")[:43] + "="}

    settings.FIELD_ENCRYPTION_KEYS = {**fresh, **old}
    rotation = rotate()
    settings.FIELD_ENCRYPTION_KEYS = fresh
    tombstones._cached_keys.clear()  # as a process that has just started
    answer = server.post("events", _event(gaid=GAID))

    assert rotation.unreadable == []
    assert encryption.primary_key_id() == "k9"
    assert answer.status == 422


def test_a_reset_device_may_come_back() -> None:
    made = make.make_tenant()
    server = Program(made.sdk_key)
    server.post("events", _event(gaid=GAID))

    request = server.post("forget-device", {"gaid": GAID, "mode": "reset"})
    with as_role(roles.WORKER):
        work(10.0)
    answer = server.post("events", _event(gaid=GAID))

    assert (request.status, answer.status) == (202, 202)
    with tenant(made.organization.pk):
        assert ErasureRequest.objects.get().mode == "reset"
        assert Event.objects.filter(device=f"advertising:{GAID}").count() == 1


def _click(made: make.Tenant, link: TrackingLink, name: str) -> NewTouchpoint:
    return NewTouchpoint(
        organization_id=made.organization.pk,
        app_id=made.app.pk,
        partner_id=link.campaign.partner_id,
        link_id=link.pk,
        kind="click",
        source="link",
        occurred_at=datetime.now(UTC),
        identifiers=frozenset({name}),
    )


@pytest.mark.parametrize("door", ["c", "i", "v0/click"])
def test_a_forgotten_devices_click_by_a_link_is_no_duplicate(door: str) -> None:
    made = make.make_tenant()
    _, link = make_network(made)
    Program(made.sdk_key).post("forget-device", {"gaid": GAID})
    with as_role(roles.WORKER):
        work(5)

    first, again = (
        Client().get(f"/{door}/{link.token}?s2s=1&gaid={GAID}&click_id=n-1") for _ in range(2)
    )
    browser = Client().get(f"/{door}/{link.token}?gaid={GAID}&click_id=n-1")

    for answer in (first, again):
        assert answer.status_code == 400
        assert "was forgotten on request" in answer.json()["detail"]
    assert browser.status_code in {200, 302, 404}
    with tenant(made.organization.pk):
        assert not Touchpoint.objects.exists()
