"""The SDK's door over HTTP: what it takes, and its answer to everything else."""

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from apps_registry.models import App, BundleId, SdkKey
from apps_registry.tenancy import Lifecycle
from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import Event, EventKey, EventSource, UndecidedEvent
from tests import make
from tests.api.calling import PROBLEM

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = 1024 * 1024


@pytest.fixture
def tenant() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def app_tenant() -> make.Tenant:
    """An app whose key is in the app itself, and so public."""
    return make.make_tenant(key_kind=SdkKey.Kind.APP)


def post(tenant: make.Tenant, data: object, **headers: str) -> HttpResponse:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Client().post(
        "/api/v1/events",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {tenant.sdk_key}", **headers},
    )


def events_of(tenant: make.Tenant) -> list[Event]:
    with tenant_of(tenant.organization.pk):
        return list(Event.objects.order_by("id"))


def only_event_of(tenant: make.Tenant) -> Event:
    (event,) = events_of(tenant)
    return event


def event(**fields: object) -> dict[str, object]:
    return {"event_id": str(uuid4()), "event_name": "purchase", **fields}


def rejections(answer: HttpResponse) -> list[list[str]]:
    assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM), answer.text
    return [[error["pointer"] for error in item["errors"]] for item in answer.json()["rejected"]]


# What is taken


def test_one_event_is_stored_with_its_key_and_its_place_in_the_queue(tenant) -> None:
    idfa = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
    sent = event(idfa=idfa, customer_user_id="user-7", revenue="4.99", currency="eur")

    answer = post(tenant, sent)

    assert answer.status_code == 202
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "ids": [sent["event_id"]],
        "warnings": [],
    }
    stored = only_event_of(tenant)
    assert stored.event_id == UUID(sent["event_id"])
    assert (stored.app_id, stored.source) == (tenant.app.pk, EventSource.SERVER)
    assert (stored.revenue, stored.currency) == (Decimal("4.99"), "EUR")
    assert (stored.platform, stored.bundle_id) == ("ios", tenant.bundle_id.identifier)
    assert stored.fields == {"idfa": idfa}
    with tenant_of(tenant.organization.pk):
        assert EventKey.objects.get().pk == stored.pk
        assert UndecidedEvent.objects.get().pk == stored.pk


def test_event_key_and_queue_are_committed_together_or_not_at_all(tenant) -> None:
    post(tenant, [event(), event()])

    with tenant_of(tenant.organization.pk), connection.cursor() as cursor:
        cursor.execute(
            "SELECT xmin::text FROM event UNION SELECT xmin::text FROM event_key "
            "UNION SELECT xmin::text FROM undecided_event"
        )
        assert len(cursor.fetchall()) == 1


@pytest.mark.parametrize("wrap", [list, lambda events: {"events": events}])
def test_many_events_come_as_an_array_or_in_an_object(tenant, wrap) -> None:
    sent = [event(), event(), event()]

    answer = post(tenant, wrap(sent))

    assert answer.status_code == 202
    assert answer.json()["accepted"] == 3
    assert answer.json()["ids"] == [item["event_id"] for item in sent]
    assert len(events_of(tenant)) == 3


def test_a_thousand_events_are_taken_and_one_more_is_too_many(tenant) -> None:
    most = post(tenant, [event() for _ in range(1000)])
    over = post(tenant, [event() for _ in range(1001)])

    assert (most.status_code, most.json()["accepted"]) == (202, 1000)
    assert (over.status_code, over["Content-Type"]) == (413, PROBLEM)
    assert len(events_of(tenant)) == 1000


def test_a_gzipped_body_is_inflated(tenant) -> None:
    body = gzip.compress(json.dumps([event(), event()]).encode())

    answer = post(tenant, body, **{"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)


def test_an_event_without_id_is_given_one(tenant) -> None:
    answer = post(tenant, {"event_name": "open"})

    assert answer.json()["ids"] == [str(only_event_of(tenant).event_id)]


def test_a_retry_is_a_duplicate_and_changes_nothing(tenant) -> None:
    sent = event(revenue="1")

    first = post(tenant, sent)
    again = post(tenant, {**sent, "revenue": "2"})

    assert (first.json()["accepted"], first.json()["duplicates"]) == (1, 0)
    assert again.status_code == 202
    assert (again.json()["accepted"], again.json()["duplicates"]) == (0, 1)
    assert again.json()["ids"] == [sent["event_id"]]
    assert only_event_of(tenant).revenue == 1


def test_the_first_of_a_batch_wins_over_its_duplicates(tenant) -> None:
    sent = event(revenue="1")
    upper = {**sent, "event_id": sent["event_id"].upper(), "revenue": "2"}

    answer = post(tenant, [sent, upper, event()])

    assert (answer.json()["accepted"], answer.json()["duplicates"]) == (2, 1)
    assert answer.json()["ids"][:2] == [sent["event_id"]] * 2
    assert events_of(tenant)[0].revenue == 1


def test_two_apps_may_use_the_same_event_id(tenant) -> None:
    other = make.make_tenant("Other")
    sent = event()

    assert post(tenant, sent).json()["accepted"] == 1
    assert post(other, sent).json()["accepted"] == 1


def test_good_events_are_taken_though_others_are_bad(tenant) -> None:
    sent = [event(), event(revenue="much"), event(), "no object", event(event_name="")]

    answer = post(tenant, sent)

    assert answer.status_code == 202
    data = answer.json()
    assert (data["accepted"], data["duplicates"]) == (2, 0)
    assert data["ids"] == [sent[0]["event_id"], None, sent[2]["event_id"], None, None]
    assert [(item["index"], item["errors"][0]["pointer"]) for item in data["rejected"]] == [
        (1, "/revenue"),
        (3, ""),
        (4, "/event_name"),
    ]
    assert all(error["detail"] for item in data["rejected"] for error in item["errors"])
    assert len(events_of(tenant)) == 2


def test_if_all_are_bad_nothing_is_stored(tenant) -> None:
    answer = post(tenant, [{"event_name": 7}, {}])

    assert rejections(answer) == [["/event_name"], ["/event_name"]]
    assert answer.json()["ids"] == [None, None]
    assert events_of(tenant) == []


def test_unknown_fields_are_kept_in_params_and_named(tenant) -> None:
    answer = post(tenant, event(level=7, params={"stage": "a"}))

    assert answer.status_code == 202
    assert [(item["index"], item["pointer"]) for item in answer.json()["warnings"]] == [
        (0, "/level")
    ]
    assert only_event_of(tenant).params == {"level": 7, "stage": "a"}


def test_every_field_of_the_contract_is_known(tenant) -> None:
    sent = event(
        install_id="i",
        advertising_id="a",
        idfa="b",
        idfv="c",
        gaid="d",
        oaid="e",
        amazon_id="f",
        android_id="g",
        app_set_id="h",
        customer_user_id="u",
        ip_address="2001:db8::7",
        user_agent="ua",
        os_version="17.5",
        app_version="1",
        sdk_version="2",
        device_model="m",
        device_brand="b",
        language="de",
        country="de",
        timezone="Europe/Berlin",
        carrier="c",
        revenue="1",
        currency="EUR",
        quantity=1,
        product_id="p",
        transaction_id="t",
        click_id="k",
        install_referrer="r",
        install_begin_time="1",
        referrer_click_time="1",
        install_begin_time_server=1,
        referrer_click_time_server="1",
        install_version="3.2.1",
        google_play_instant=False,
        adservices_token="t",
        limit_ad_tracking=True,
        att_status=3,
        gdpr_applies=False,
        tcf_string="s",
        eea=True,
        ad_user_data=True,
        ad_personalization=False,
        us_privacy="1YNN",
        sharing_opt_out=["Unity Ads"],
        params={},
    )

    answer = post(tenant, sent)

    assert answer.status_code == 202, answer.text
    assert "Unknown" not in str(answer.json()["warnings"])
    assert only_event_of(tenant).fields["country"] == "DE"


# Who may


def test_without_a_key_the_answer_names_the_scheme() -> None:
    answer = Client().post("/api/v1/events", b"{}", content_type="application/json")

    assert (answer.status_code, answer["Content-Type"]) == (401, PROBLEM)
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header", ["Bearer pbk_wrong", "Bearer ", "Digest x", "Basic !", "Basic /w==", "pbk_wrong"]
)
def test_a_key_that_is_none_of_ours_is_401(tenant, header) -> None:
    answer = post(tenant, event(), Authorization=header)

    assert (answer.status_code, answer["Content-Type"]) == (401, PROBLEM)
    assert events_of(tenant) == []


def test_the_key_may_be_the_user_name_of_basic(tenant) -> None:
    basic = base64.b64encode(f"{tenant.sdk_key}:".encode()).decode()

    assert post(tenant, event(), Authorization=f"Basic {basic}").status_code == 202


def test_a_revoked_key_is_403(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        SdkKey.objects.get().revoke()

    answer = post(tenant, event())

    assert (answer.status_code, answer["Content-Type"]) == (403, PROBLEM)
    assert events_of(tenant) == []


def test_a_key_of_an_archived_app_is_403(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        App.objects.update(status=Lifecycle.ARCHIVED)

    assert post(tenant, event()).status_code == 403


def test_an_api_token_is_403(tenant) -> None:
    answer = post(tenant, event(), Authorization=f"Bearer {tenant.api_token}")

    assert (answer.status_code, answer["Content-Type"]) == (403, PROBLEM)


def test_a_browser_without_csrf_token_may_report(tenant) -> None:
    client = Client(enforce_csrf_checks=True)

    answer = client.post(
        "/api/v1/events",
        json.dumps(event()),
        content_type="application/json",
        headers={"Authorization": f"Bearer {tenant.sdk_key}"},
    )

    assert answer.status_code == 202


# Where from


def test_a_public_key_lets_address_and_agent_default_to_the_request(app_tenant) -> None:
    answer = post(app_tenant, event(), **{"User-Agent": "GemHarbor/7"})

    assert answer.status_code == 202
    stored = only_event_of(app_tenant)
    assert stored.source == EventSource.SDK
    assert stored.fields == {"ip_address": "127.0.0.1", "user_agent": "GemHarbor/7"}


def test_what_the_event_says_comes_before_the_request(app_tenant) -> None:
    sent = {"ip_address": "203.0.113.7", "user_agent": "Own/1"}

    post(app_tenant, event(**sent), **{"User-Agent": "GemHarbor/7"})

    assert only_event_of(app_tenant).fields == sent


def test_a_servers_own_address_says_nothing_about_the_device(tenant) -> None:
    post(tenant, event(), **{"User-Agent": "curl/8"})

    assert only_event_of(tenant).fields == {}


def test_a_forwarded_address_is_not_believed(app_tenant) -> None:
    post(app_tenant, event(), **{"X-Forwarded-For": "198.51.100.1"})

    assert only_event_of(app_tenant).fields["ip_address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "198.51.100.1", "127.0.0.1"),
        (1, "", None),
        (1, "nonsense", None),
    ],
)
def test_trusted_proxies_are_counted_from_the_right(
    app_tenant, settings, proxies, header, address
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies

    post(app_tenant, event(), **{"X-Forwarded-For": header})

    assert only_event_of(app_tenant).fields.get("ip_address") == address


# Bundle IDs


def test_a_wrong_bundle_id_is_rejected(tenant) -> None:
    assert rejections(post(tenant, event(bundle_id="com.example.other"))) == [["/bundle_id"]]


def test_another_organizations_bundle_id_is_wrong_too(tenant) -> None:
    other = make.make_tenant("Other")

    assert rejections(post(tenant, event(bundle_id=other.bundle_id.identifier))) == [["/bundle_id"]]


def test_an_app_with_several_bundle_ids_must_name_one(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        BundleId.objects.create(app=tenant.app, identifier="com.example.second")

    unnamed = post(tenant, event())
    named = post(tenant, event(bundle_id="com.example.second"))

    assert rejections(unnamed) == [["/bundle_id"]]
    assert named.status_code == 202
    assert only_event_of(tenant).bundle_id == "com.example.second"


def test_an_app_without_bundle_id_takes_events_that_name_none(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        BundleId.objects.all().delete()

    assert post(tenant, event()).status_code == 202
    assert only_event_of(tenant).bundle_id == ""


# Time


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize(
    "write",
    [
        lambda moment: moment.isoformat(),
        lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda moment: (moment + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        lambda moment: int(moment.timestamp()),
        lambda moment: float(moment.timestamp()),
        lambda moment: int(moment.timestamp()) * 1000,
    ],
    ids=["offset", "Z", "two hours east", "seconds", "seconds as float", "milliseconds"],
)
def test_a_time_is_understood(tenant, write) -> None:
    moment = _now() - timedelta(hours=1)

    answer = post(tenant, event(event_time=write(moment)))

    assert answer.status_code == 202, answer.text
    assert only_event_of(tenant).event_time == moment


def test_milliseconds_of_a_time_are_kept(tenant) -> None:
    moment = _now() - timedelta(hours=1, milliseconds=-123)

    post(tenant, event(event_time=int(moment.timestamp() * 1000)))

    assert only_event_of(tenant).event_time == moment


def test_without_a_time_it_is_now(tenant) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)

    post(tenant, event())

    assert before <= only_event_of(tenant).event_time <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("shift", "taken"),
    [
        (timedelta(minutes=4), True),
        (timedelta(minutes=6), True),  # taken as now, and marked
        (timedelta(days=14, minutes=1), False),
        (-timedelta(days=57, hours=23), True),
        (-timedelta(days=58, hours=1), False),
    ],
)
def test_a_time_lies_between_58_days_ago_and_5_minutes_ahead(tenant, shift, taken) -> None:
    answer = post(tenant, event(event_time=(_now() + shift).isoformat()))

    if taken:
        assert answer.status_code == 202
    else:
        assert rejections(answer) == [["/event_time"]]


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "2026-05-04T10:00:00",
        "",
        True,
        [],
        {},
        1e300,
        -1e300,
        "9999-99-99T00:00:00Z",
        "2026-13-40",
        "NaN",
        "1e40",
        1e40,
        10**400,
    ],
)
def test_a_time_that_is_none_is_rejected(tenant, value) -> None:
    answer = post(tenant, event(event_time=value))

    if value == 10**400:  # a number that no reader of JSON must understand
        assert answer.status_code in {400, 422}
    else:
        assert rejections(answer) == [["/event_time"]]
    assert events_of(tenant) == []


# Money


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ('"4.99"', "4.99"),
        ("4.99", "4.99"),
        ("5", "5"),
        ('"5"', "5"),
        ("0.1", "0.1"),
        ("-3.50", "-3.50"),
        ("1e2", "100"),
        ("0.123456789012", "0.123456789012"),
        ("123456789012345678901.123456789012", "123456789012345678901.123456789012"),
        ("12345678901234567890.123456789012", "12345678901234567890.123456789012"),
        ('"12345678901234567890.123456789012"', "12345678901234567890.123456789012"),
    ],
)
def test_revenue_is_exact_to_the_last_digit(tenant, written, stored) -> None:
    body = f'{{"event_name": "purchase", "revenue": {written}}}'.encode()

    answer = post(tenant, body)

    assert answer.status_code == 202, answer.text
    assert only_event_of(tenant).revenue == Decimal(stored)


@pytest.mark.parametrize(
    "written",
    [
        '"much"',
        '"NaN"',
        '"Infinity"',
        '""',
        "true",
        "[]",
        "{}",
        "1e400",
        "1e-400",
        "1234567890123456789012",
        "0.1234567890123",
        '"1e999999"',
        '"1,5"',
    ],
)
def test_revenue_that_is_none_is_rejected(tenant, written) -> None:
    answer = post(tenant, f'{{"event_name": "purchase", "revenue": {written}}}'.encode())

    assert rejections(answer) == [["/revenue"]]
    assert events_of(tenant) == []


@pytest.mark.parametrize("currency", ["EURO", "E1R", "", 7, "N/A", "n/a", "null", "XYZ", "$"])
def test_a_currency_that_is_none_is_rejected(tenant, currency) -> None:
    assert rejections(post(tenant, event(currency=currency))) == [["/currency"]]


# Wrong types and values


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_name", None),
        ("event_name", 7),
        ("event_name", "x" * 65),
        ("event_name", "   "),
        ("event_name", "a\nb"),
        ("event_id", "seven"),
        ("event_id", 7),
        ("platform", "symbian"),
        ("idfa", 7),
        ("idfa", "x" * 256),
        ("user_agent", "x" * 4097),
        ("ip_address", "300.1.1.1"),
        ("ip_address", "localhost"),
        ("country", "Germany"),
        ("quantity", -1),
        ("quantity", 1.5),
        ("quantity", "two"),
        ("limit_ad_tracking", "yes"),
        ("att_status", 4),
        ("sharing_opt_out", "Unity Ads"),
        ("params", []),
        ("params", "x"),
        ("bundle_id", 7),
    ],
)
def test_a_wrong_value_is_rejected_at_its_field(tenant, field, value) -> None:
    assert rejections(post(tenant, event(**{field: value}))) == [[f"/{field}"]]
    assert events_of(tenant) == []


def test_all_mistakes_of_an_event_are_named(tenant) -> None:
    (pointers,) = rejections(post(tenant, {"revenue": "much", "quantity": -1, "platform": 7}))

    assert sorted(pointers) == ["/event_name", "/platform", "/quantity", "/revenue"]


def test_a_mistake_inside_a_list_is_named_by_its_place(tenant) -> None:
    assert rejections(post(tenant, event(sharing_opt_out=["Unity Ads", 7]))) == [
        ["/sharing_opt_out/1"]
    ]


@pytest.mark.parametrize("event_", [None, 7, "purchase", [], True])
def test_an_event_that_is_no_object_is_rejected(tenant, event_) -> None:
    assert rejections(post(tenant, [event_])) == [[""]]


def test_params_over_32_kilobytes_are_rejected(tenant) -> None:
    assert post(tenant, event(params={"a": "x" * 32_000})).status_code == 202
    assert rejections(post(tenant, event(params={"a": "x" * 33_000}))) == [["/params"]]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"params": {"a": "b\0"}}, "/params"),
        ({"params": {"a\0": "b"}}, "/params"),
        ({"params": {"a": [{"b": "\0"}]}}, "/params"),
        ({"extra": "\0"}, "/params"),
        ({"customer_user_id": "a\0"}, "/customer_user_id"),
        ({"idfa": "a\0"}, "/idfa"),
        ({"event_name": "a\0"}, "/event_name"),
    ],
)
def test_a_nul_character_is_rejected_and_spoils_no_neighbor(tenant, fields, pointer) -> None:
    answer = post(tenant, [event(), event(**fields)])

    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    (rejected,) = answer.json()["rejected"]
    assert rejected["index"] == 1
    assert pointer in [error["pointer"] for error in rejected["errors"]]


@pytest.mark.parametrize("number", ["9" * 400, "1e999", "1e-999", "-" + "9" * 25])
def test_a_huge_number_spoils_no_neighbor(tenant, number) -> None:
    body = f'[{{"event_name": "a"}}, {{"event_name": "b", "params": {{"n": {number}}}}}]'

    answer = post(tenant, body.encode())

    assert answer.status_code in {202, 400}, answer.text
    if answer.status_code == 202:
        assert answer.json()["rejected"][0]["index"] == 1
        assert answer.json()["accepted"] == 1


# Bad bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"{'event_name': 'x'}",
        b'{"event_name": "x",}',
        b'{"event_name": "x"} {"event_name": "y"}',
        b'{"event_name": NaN}',
        b'{"event_name": "\xff"}',
        b'{"event_name": "\\ud800"}',
        b"event_name=x",
        b'{"event_name": "x", "event_name": "y"}',
        b'{"event_name": "x", "params": {"a": 1, "a": 2}}',
        b'{"event_name": "x", "event\\u005fname": "y"}',
        b'{"events": [], "more": 1}',
        b'{"events": {}}',
        b"[" * 200_000,
        b"[" * 100 + b"]" * 100,
        b'{"event_name": "x", "params": ' + b'{"a":' * 30 + b"1" + b"}" * 31,
    ],
    ids=[
        "empty",
        "blank",
        "cut off",
        "quotes",
        "comma",
        "two documents",
        "NaN",
        "UTF-8",
        "half a character",
        "form",
        "key twice",
        "deep key twice",
        "key twice, escaped",
        "more beside events",
        "events no list",
        "endless",
        "deep list",
        "deep object",
    ],
)
def test_bad_json_is_400_and_stores_nothing(tenant, body) -> None:
    answer = post(tenant, body)

    assert (answer.status_code, answer["Content-Type"]) == (400, PROBLEM), answer.text
    assert answer.json()["detail"]
    assert events_of(tenant) == []


def test_a_text_that_looks_like_a_key_twice_is_taken(tenant) -> None:
    answer = post(tenant, event(params={"a": '{"a": 1, "a": 2}', "b": '": "'}))

    assert answer.status_code == 202


@pytest.mark.parametrize("data", [[], {"events": []}])
def test_a_request_without_events_is_422(tenant, data) -> None:
    answer = post(tenant, data)

    assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM)


@pytest.mark.parametrize("data", [7, "text", None, True])
def test_json_that_holds_no_event_is_refused(tenant, data) -> None:
    assert rejections(post(tenant, data)) == [[""]]


def test_a_body_over_five_megabytes_is_413(tenant) -> None:
    answer = post(tenant, b'{"event_name": "x", "a": "' + b"x" * 5 * MEGABYTE + b'"}')

    assert (answer.status_code, answer["Content-Type"]) == (413, PROBLEM)


def test_a_gzip_bomb_is_413(tenant) -> None:
    bomb = gzip.compress(b" " * 200 * MEGABYTE)

    answer = post(tenant, bomb, **{"Content-Encoding": "gzip"})

    assert len(bomb) < MEGABYTE
    assert (answer.status_code, answer["Content-Type"]) == (413, PROBLEM)


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"not gzip", "gzip", 400),
        (gzip.compress(b'{"event_name": "x"}')[:-9], "gzip", 400),
        (gzip.compress(b'{"event_name": "x"}') + b"more", "gzip", 400),
        (b"{}", "br", 415),
        (b"", "gzip", 400),
    ],
    ids=["no gzip", "cut off", "goes on", "other", "empty"],
)
def test_a_bad_encoding_is_told(tenant, body, encoding, status) -> None:
    answer = post(tenant, body, **{"Content-Encoding": encoding})

    assert (answer.status_code, answer["Content-Type"]) == (status, PROBLEM)
    assert events_of(tenant) == []


def test_without_a_database_the_answer_says_when_to_come_again(tenant) -> None:
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = "/nonexistent"
    try:
        answer = post(tenant, event())
    finally:
        connection.close()
        connection.settings_dict["HOST"] = host

    assert (answer.status_code, answer["Content-Type"]) == (503, PROBLEM)
    assert int(answer["Retry-After"]) > 0
    assert "nonexistent" not in answer.text
    assert events_of(tenant) == []
