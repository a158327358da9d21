"""An event's ids: one spelling of each, and none where a word or a macro stands in its place."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.intake.events.fields import CLICK_IDS, DEVICE_IDS
from postbacks.models import Event, Install
from tests.api.calling import Program
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_tenant, make_tenant_rule
from tests.touches import make_network
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

ID = "38400000-8cf0-11bd-b23e-10b96e40000d"
UUID_KINDS = [
    *("install_id", "web_id", "gaid", "idfa", "amazon_id", "oaid", "advertising_id", "idfv"),
    "app_set_id",
]
APPLES = {"idfa", "idfv", "advertising_id"}  # Apple writes capitals, and partners hash them so
PLACEHOLDERS = [
    *("null", "undefined", "9774d56d682e549c", "guest", "00000000-0000-0000-0000-000000000000"),
    *(
        "unknown",
        "(not set)",
        "0",
        "None",
        "nil",
        "N/A",
        "(null)",
        "<null>",
        "[object Object]",
        "-",
    ),
    *("{gaid}", "$$IDFA$$", "{{click_id}}", "%%X%%", "__ID__", "GAID", "0" * 32, "F" * 32, "-1"),
    *("anonymous", "NaN", "urn:uuid:00000000-0000-0000-0000-000000000000", "undefined\n"),
]


def events_of(made: Tenant) -> list[Event]:
    with tenant(made.organization.pk):
        return list(Event.objects.order_by("id"))


@pytest.mark.parametrize("kind", [*DEVICE_IDS, *CLICK_IDS])
def test_what_stands_in_place_of_an_id_is_left_out_and_named_in_the_warnings(kind: str) -> None:
    gem = make_tenant()
    sent = [event(**{"install_id": None, kind: value}) for value in PLACEHOLDERS]

    answer = Program(gem.sdk_key).post("events", sent)

    assert (answer.status, answer.data["accepted"]) == (202, len(PLACEHOLDERS))
    assert [(w["index"], w["pointer"]) for w in answer.data["warnings"]] == [
        (index, f"/{kind}") for index in range(len(PLACEHOLDERS))
    ]
    for warning, value in zip(answer.data["warnings"], PLACEHOLDERS, strict=True):
        assert f"“{value.strip()}”" in warning["detail"]
        assert "left out" in warning["detail"]
    for stored in events_of(gem):
        assert stored.device == ""
        assert stored.customer_user_id == ""
        assert kind not in stored.fields


def test_whatever_can_be_an_id_is_kept_without_a_warning() -> None:
    gem = make_tenant()
    values = ["x1", "abc_def", "%2Bk3", "1", "user-1047", "null1", "josé@example.com", "李雷"]

    receipt = record(gem, *(event(install_id=value, customer_user_id=value) for value in values))

    assert receipt.warnings == ()
    assert [stored.fields["install_id"] for stored in events_of(gem)] == values
    assert [stored.customer_user_id for stored in events_of(gem)] == values


@pytest.mark.parametrize("value", ["null", "00000000-0000-0000-0000-000000000000", "{gaid}"])
def test_two_devices_that_send_the_same_word_are_two_installs(value: str) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, triggers=["install"])
    ids = {"install_id": value, "gaid": value, "customer_user_id": "guest"}

    record(gem, *(event("install", **ids, android_id=f"{n}-device") for n in (1, 2)))
    work()

    with tenant(gem.organization.pk):
        assert Install.objects.count() == 2
    assert len(postbacks_of(gem)) == 2


@pytest.mark.parametrize("kind", UUID_KINDS)
def test_a_uuid_has_one_spelling(kind: str) -> None:
    gem = make_tenant()
    plain = ID.replace("-", "")
    forms = [ID, ID.upper(), plain, plain.upper(), f"{{{ID.upper()}}}", f"urn:uuid:{ID}", f" {ID} "]
    forms += ["38400000-8CF011bdb23e-10b96e40000D", f'"{ID}"', f"({ID})"]

    receipt = record(gem, *(event(**{"install_id": None, kind: form}) for form in forms))

    assert receipt.warnings == ()
    kept = [form if form == ID.upper() and kind in APPLES else ID for form in forms]
    assert [stored.fields[kind] for stored in events_of(gem)] == kept
    assert len({stored.device for stored in events_of(gem)}) == 1


def test_what_is_no_uuid_stays_as_it_is_written() -> None:
    gem = make_tenant()
    ids = {
        "install_id": "TestInstall-1",
        "android_id": "A1B2C3D4E5F60718",
        "oaid": "1D3DFAD0F5E4B7A2",
        "customer_user_id": ID.upper(),
    }

    record(gem, event(**ids))

    (stored,) = events_of(gem)
    assert {**stored.fields, "customer_user_id": stored.customer_user_id}.items() >= ids.items()
    assert "as_written" not in stored.fields


@pytest.mark.parametrize("sent", ["gaid", "md5_gaid", "sha1_gaid", "advertising_id"])
def test_a_click_without_dashes_earns_the_install_with_dashes(sent: str) -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    plain = ID.replace("-", "").upper()
    value = {"md5_gaid": digest("md5", ID).upper(), "sha1_gaid": digest("sha1", plain)}
    a_minute_ago = int(datetime.now(UTC).timestamp()) - 60

    clicked = Client().get(
        f"/c/{link.token}?s2s=1&click_time={a_minute_ago}&{sent}={value.get(sent, plain)}"
    )
    record(gem, event("install", gaid="{" + ID.upper() + "}"))
    work()

    assert clicked.status_code == 200
    with tenant(gem.organization.pk):
        assert Install.objects.get().attribution_type == "click"


def digest(algorithm: str, text: str) -> str:
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("value", ["undefined", "null", "0", "00000000000000000000000000000000"])
def test_tenjins_door_leaves_words_out_as_well(value: str) -> None:
    gem = make_tenant()
    call = {
        "api_key": gem.sdk_key,
        "platform": "android",
        "analytics_installation_id": value,
        "advertising_id": value,
        "customer_user_id": value,
    }

    answer = Client().get("/v0/event", call)

    assert answer.json() == {"code": 200}
    assert "analytics_installation_id, advertising_id, customer_user_id" in answer["Warning"]
    (stored,) = events_of(gem)
    assert stored.device == ""
    assert not stored.fields.keys() & {"install_id", "gaid", "advertising_id"}
    marked = {"install_id": value, "gaid": value, "customer_user_id": value}
    assert stored.fields["left_out_ids"] == marked
    assert json.dumps(stored.params).count(value) <= 1


def test_an_id_in_a_form_that_no_device_makes_is_kept_and_named_in_the_warnings() -> None:
    gem = make_tenant()
    odd = [
        *(("idfa", "ABC"), ("gaid", "d-7"), ("amazon_id", "38400000-8cf0-11bd-b23e")),
        *(("advertising_id", "user-1047"), ("oaid", "short"), ("idfv", "iPhone17,1")),
        *(("app_set_id", "12345"), ("android_id", "pixel"), ("gaid", ID + ID[-1])),
        ("idfa", "6D92078A82464BA4AE5B76104861E7D"),
    ]
    plain = ID.replace("-", "")
    usual = [
        *(("idfa", ID.upper()), ("gaid", plain), ("idfa", digest("sha1", ID)), ("oaid", "7" * 64)),
        *(("advertising_id", "b7a1c3d95e20f846"), ("android_id", "b7a1c3d95e20f846")),
        *(("advertising_id", digest("sha256", ID)), ("gaid", digest("md5", ID).upper())),
        *(("customer_user_id", "7"), ("install_id", "7"), ("click_id", "7"), ("web_id", "7")),
    ]
    sent = [event(**{"install_id": None, kind: value}) for kind, value in (*odd, *usual)]

    receipt = record(gem, *sent)

    assert receipt.accepted == len(sent)
    assert [(warning.index, warning.pointer) for warning in receipt.warnings] == [
        (index, f"/{kind}") for index, (kind, _) in enumerate(odd)
    ]
    assert all("does not look like its kind" in warning.detail for warning in receipt.warnings)
    assert [
        stored.fields[kind] for stored, (kind, _) in zip(events_of(gem), odd, strict=False)
    ] == [value for _, value in odd]


def test_money_without_a_currency_is_kept_and_named_in_the_warnings() -> None:
    gem = make_tenant()
    odd = [
        *({"revenue": "4.99"}, {"revenue": 5}, {"price": "1.99", "quantity": 2}),
        *({"revenue": -3}, {"revenue": "0.01", "params": {"currency": "EUR"}}),
    ]
    usual = [
        *({"revenue": 0}, {"revenue": "4.99", "currency": "eur"}, {"currency": "EUR"}, {}),
        {"revenue": None, "quantity": 3},
    ]

    receipt = record(gem, *(event(**fields) for fields in (*odd, *usual)))

    assert receipt.accepted == len(odd) + len(usual)
    assert [(warning.index, warning.pointer) for warning in receipt.warnings] == [
        (index, "/currency") for index in range(len(odd))
    ]
    assert all("no currency" in warning.detail for warning in receipt.warnings)


@pytest.mark.parametrize(
    ("address", "fields", "words"),
    [
        (
            "/v0/event",
            {"sent_at": +300_000},
            "sent_at: By sent_at the device's clock is 300 seconds",
        ),
        ("/v0/event", {"sent_at": +86_400_000}, "86,400 seconds ahead"),
        ("/v0/ad_impression", {"sent_at": +120_000}, "Its times were corrected by -120 seconds"),
        ("/v0/event", {"sent_at": "yesterday"}, "sent_at: 'yesterday' is no time of the last"),
        ("/v0/event", {"sent_at": -90 * 86_400_000}, "the event counts as now"),
        ("/v0/event", {"country": "UK"}, "country: In ISO 3166 'UK' is GB"),
        ("/v0/event", {"advertising_id": "d-7"}, "advertising_id: 'd-7' does not look like"),
        ("/v0/purchase", {"price": "9.99", "quantity": 1, "product_id": "p"}, "but no currency"),
        ("/v0/event", {"sent_at": -3_600_000}, ""),
        ("/v0/event", {"sent_at": +20_000}, ""),
        ("/v0/purchase", {"price": "9.99", "currency": "EUR", "product_id": "p"}, ""),
    ],
)
def test_tenjins_door_warns_of_all_that_it_took_otherwise(
    address: str, fields: dict[str, object], words: str
) -> None:
    gem = make_tenant()
    if isinstance(off := fields.get("sent_at"), int):
        fields = {"sent_at": int(datetime.now(UTC).timestamp() * 1000) + off}
    call = {"api_key": gem.sdk_key, "platform": "android", "analytics_installation_id": ID}

    answer = Client().get(address, {**call, **fields})

    assert answer.json() == {"code": 200}
    assert words in answer.get("Warning", "")
    assert answer.has_header("Warning") == bool(words)
    assert answer.get("Warning", "").isascii()
