"""Values as the field sends them: read as they are meant, or refused with what to send."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client

from apps_registry.tenancy import tenant as tenant_of
from postbacks.intake.events.device_clock import DeviceClock
from postbacks.intake.events.fields import FIELD_NAMES
from postbacks.intake.events.validation import EventChecker, check_event
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import Event
from postbacks.values.refusals import quote
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)

MARK = b"\xef\xbb\xbf"
FORM = "application/x-www-form-urlencoded"
REPORTER = Reporter(
    organization_id=1,
    app_id=1,
    is_server=True,
    platform="ios",
    bundle_ids=("com.example.gem",),
    ip_address=None,
    user_agent=None,
    key_id=1,
)
# Fields whose faults lie inside them: the sentence shows the part.
ADDED_TO = {"sharing_opt_out", "params", "revenue", "price"}


@pytest.fixture
def tenant() -> make.Tenant:
    return make.make_tenant()


def send(
    path: str, tenant: make.Tenant, body: object, *, kind: str = "application/json", key: str = ""
) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    bearer = {"Authorization": f"Bearer {key or tenant.sdk_key}"}
    return Client().post(path, content, content_type=kind, headers=bearer)


def post(tenant: make.Tenant, data: object) -> HttpResponse:
    return send("/api/v1/events", tenant, data)


def events_of(tenant: make.Tenant) -> list[Event]:
    with tenant_of(tenant.organization.pk):
        return list(Event.objects.order_by("id"))


def event(**fields: object) -> dict[str, object]:
    return {"event_id": str(uuid4()), "event_name": "purchase", **fields}


# A byte order mark


def with_mark(document: object) -> bytes:
    return MARK + json.dumps(document).encode()


@pytest.mark.parametrize("path", ["/api/v1/events", "/v0/event"])
def test_a_byte_order_mark_before_an_event_is_skipped(tenant, path) -> None:
    body = with_mark({"event_name": "purchase", "event": "purchase"})

    assert send(path, tenant, body).status_code in {200, 202}
    assert [stored.event_name for stored in events_of(tenant)] == ["purchase"]


def test_a_byte_order_mark_before_a_form_is_skipped(tenant) -> None:
    assert send("/v0/event", tenant, MARK + b"event=won", kind=FORM).status_code == 200
    assert [stored.event_name for stored in events_of(tenant)] == ["won"]


def test_a_byte_order_mark_is_skipped_at_the_other_doors(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        link = make.make_link(make.make_campaign(tenant.app, make.make_partner()))
    app = {"name": "Second", "platform": "ios"}

    answers = [
        send("/api/v1/touchpoints", tenant, with_mark({"link": link.token})),
        send("/api/v1/forget-device", tenant, with_mark({"install_id": "i"})),
        send("/api/v1/apps", tenant, with_mark(app), key=tenant.api_token),
        send("/api/v1/organization/import", tenant, with_mark({}), key=tenant.api_token),
        send("/.well-known/skadnetwork/report-attribution/", tenant, with_mark({"app-id": 1})),
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 201, 400, 200]
    assert "JSON" not in answers[3].text  # it was read, and holds nothing


@pytest.mark.parametrize("body", [MARK, MARK + b"  ", b" " + MARK + b"{}", MARK * 2 + b"{}"])
def test_a_mark_alone_or_elsewhere_is_no_json(tenant, body) -> None:
    assert post(tenant, body).status_code == 400


# Addresses


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("::ffff:222.1.41.90", "222.1.41.90"),
        ("::FFFF:de01:295a", "222.1.41.90"),
        ("0:0:0:0:0:ffff:222.1.41.90", "222.1.41.90"),
        ("2001:DB8::7", "2001:DB8::7"),
        ("222.1.41.90", "222.1.41.90"),
    ],
)
def test_an_ipv4_address_inside_ipv6_is_an_ipv4_address(tenant, sent, stored) -> None:
    assert post(tenant, event(ip_address=sent)).status_code == 202
    assert events_of(tenant)[0].fields["ip_address"] == stored


# Names


@pytest.mark.parametrize(
    "name", ["می\u200cخرد", "👩\u200d👩\u200d👧", "prix\u00a0réduit", "1\u202f000", "क्\u200dष"]
)
def test_a_name_with_joiners_or_no_break_spaces_is_taken_as_it_is(tenant, name) -> None:
    assert post(tenant, event(event_name=name)).status_code == 202
    assert events_of(tenant)[0].event_name == name


def test_a_rule_can_be_triggered_by_such_a_name(tenant) -> None:
    rule = {"name": "Buys", "url": "https://ads.example.com/", "triggers": ["می\u200cخرد"]}

    answer = send("/api/v1/callback-rules", tenant, rule, key=tenant.api_token)

    assert (answer.status_code, answer.json()["triggers"]) == (201, ["می\u200cخرد"])


def test_a_user_with_such_a_name_can_be_forgotten(tenant) -> None:
    answer = send("/api/v1/forget-device", tenant, {"customer_user_id": "می\u200cخرد"})

    assert answer.status_code == 202


# One bad event among good ones


def batch(bad: str) -> bytes:
    good = '{"event_name": "good"}'
    return f"[{good}, {bad}, {good}]".encode("utf-8", "surrogatepass")


HALF = "\\ud83d"
DEEP = 100_000


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        (f'{{"event_name": "x{HALF}"}}', "/event_name"),
        (f'{{"event_name": "x", "customer_user_id": "{HALF}"}}', "/customer_user_id"),
        (f'{{"event_name": "x", "gaid": "{HALF}"}}', "/gaid"),
        ('{"event_name": "x", "click_id": "a\\ude00"}', "/click_id"),
        ('{"event_name": "x", "gclid": "a\\ude00"}', "/gclid"),
        (f'{{"event_name": "x", "params": {{"{HALF}": 1}}}}', "/params"),
        ('{"event_name": "x", "event_name": "y"}', "/event_name"),
        ('{"event_name": "x", "params": {"a": {"b": 1, "b": 1}}}', "/params/a/b"),
        ('{"event_name": "x", "event\\u005fname": "y"}', "/event_name"),
        ('{"event_name": "x", "params": ' + '{"a":' * 25 + "1" + "}" * 26, ""),
        ('{"event_name": "x", "params": {"a": ' + "[" * DEEP + "]" * DEEP + "}}", ""),
        ('{"event_name": "x", "params": ' + '{"a":' * DEEP + '"]"' + "}" * DEEP + "}", ""),
        ("[" * 30 + "]" * 30, ""),
        ('{"event_name": "x", "revenue": NaN}', "/revenue"),
        ('{"event_name": "x", "params": {"a": [-Infinity]}}', "/params/a/0"),
        ('{"event_name": "x", "params": {"a": ' + "9" * 5_000 + "}}", "/params/a"),
        ('{"event_name": "x", "revenue": 1e9999999999999999999}', "/revenue"),
    ],
    ids=[
        *("half a name", "half a user", "half an id", "half a click", "half a gclid", "half a key"),
        *("key twice", "deep key twice", "escaped key twice"),
        *("deep", "very deep list", "very deep object", "deep list"),
        *("NaN", "infinity", "long integer", "exponent"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_bad_event_costs_only_itself(tenant, bad, pointer, wrapped) -> None:
    body = b'{"events": %b}' % batch(bad) if wrapped else batch(bad)

    answer = post(tenant, body)

    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    assert receipt["accepted"] == 2
    (rejected,) = receipt["rejected"]
    assert (rejected["index"], rejected["errors"][0]["pointer"]) == (1, pointer)
    assert [stored.event_name for stored in events_of(tenant)] == ["good", "good"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        (f'"params": {{"chat": "hello {HALF}"}}', "/params/chat"),
        (f'"params": {{"list": ["a", "{HALF}"]}}', "/params/list/1"),
        (f'"device_name": "Ann\'s {HALF}"', "/device_name"),
        (f'"chat": "hello {HALF}"', "/chat"),
        ('"params": {"chat": "\\ude00"}', "/params/chat"),
        ('"params": {"chat": "\ud83d"}', "/params/chat"),  # as bytes that are no UTF-8
    ],
)
def test_half_a_character_in_a_text_is_replaced_and_said(tenant, fields, pointer) -> None:
    answer = post(tenant, batch(f'{{"event_name": "chat", {fields}}}'))

    assert (answer.status_code, answer.json()["accepted"]) == (202, 3), answer.text
    warned = [(warning["index"], warning["pointer"]) for warning in answer.json()["warnings"]]
    assert (1, pointer) in warned
    stored = events_of(tenant)[1]
    assert "\ufffd" in json.dumps([stored.params, stored.fields], ensure_ascii=False)


def test_a_byte_that_is_no_utf8_costs_only_its_text(tenant) -> None:
    body = b'[{"event_name": "a", "city": "K\xf6ln"}, {"event_name": "b"}]'

    answer = post(tenant, body)

    assert answer.json()["accepted"] == 2
    assert [warning["pointer"] for warning in answer.json()["warnings"]] == ["/city"]
    assert events_of(tenant)[0].fields["city"] == "K\ufffdln"


def test_two_halves_that_were_encoded_apart_are_the_character(tenant) -> None:
    body = batch('{"event_name": "x", "city": "\ud83d\ude00", "repeat": 1, "note": "\\ud83d"}')

    assert post(tenant, body).json()["accepted"] == 3
    assert events_of(tenant)[1].fields["city"] == "😀"


def test_a_whole_character_is_left_alone_beside_a_flaw(tenant) -> None:
    body = batch(
        '{"event_name": "x", "city": "\\ud83d\\ude00", "revenue": "0.10", "note": "\\udc00"}'
    )

    assert post(tenant, body).json()["accepted"] == 3
    stored = events_of(tenant)[1]
    assert (stored.fields["city"], str(stored.revenue)) == ("😀", "0.10")


def test_if_every_event_is_bad_each_is_named(tenant) -> None:
    answer = post(tenant, b'[{"event_name": "x", "event_name": "y"}, {"event_name": "\\ud83d"}]')

    assert answer.status_code == 422
    assert [item["index"] for item in answer.json()["rejected"]] == [0, 1]


@pytest.mark.parametrize(
    "bad",
    [
        '{"event_name": "x"',
        '{"event_name": x}',
        '{"event_name": "x",}',
        "{'event_name': 'x'}",
        '{"event_name": "x"}} ',
        "[" * DEEP,
    ],
)
def test_what_is_no_json_refuses_the_request_and_says_where(tenant, bad) -> None:
    answer = post(tenant, batch(bad))

    assert answer.status_code == 400
    assert "line 1, column" in answer.json()["detail"]
    assert events_of(tenant) == []


@pytest.mark.parametrize(
    ("click", "pointer"),
    [
        ('"click_id": "a\\ud83d"', "/click_id"),
        ('"click_id": "a", "click_id": "b"', "/click_id"),
        ('"params": {"a": ' + "[" * DEEP + "]" * DEEP + "}", ""),
    ],
    ids=["half", "twice", "deep"],
)
def test_a_bad_touchpoint_costs_only_itself(tenant, click, pointer) -> None:
    with tenant_of(tenant.organization.pk):
        link = make.make_link(make.make_campaign(tenant.app, make.make_partner()))
    good = f'{{"link": "{link.token}", "params": {{"note": "\\ud83d"}}}}'
    body = f'[{good}, {{"link": "{link.token}", {click}}}]'.encode()

    answer = send("/api/v1/touchpoints", tenant, body)

    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    assert receipt["accepted"] == 1
    assert receipt["rejected"][0]["errors"][0]["pointer"] == pointer
    assert [warning["pointer"] for warning in receipt["warnings"]] == ["/params/note"]


# Whole numbers and times


@pytest.mark.parametrize(
    ("field", "written", "stored"),
    [
        ("quantity", "1.0", 1),
        ("quantity", "2.000", 2),
        ("quantity", "1e2", 100),
        ("quantity", "0.0", 0),
        ("att_status", "3.0", 3),
        ("limit_ad_tracking", "1.0", True),
        ("ad_user_data", "0.0", False),
        ("install_begin_time", "1777888800.0", "1777888800"),
    ],
)
def test_a_whole_number_may_have_a_point(tenant, field, written, stored) -> None:
    answer = post(tenant, f'{{"event_name": "x", "{field}": {written}}}'.encode())

    assert (answer.status_code, answer.json()["warnings"]) == (202, [])
    assert events_of(tenant)[0].fields[field] == stored


@pytest.mark.parametrize("time", [0, "0", "1777888800", 1777888800000, 1777888800000000], ids=repr)
def test_a_time_of_the_install_is_read(tenant, time) -> None:
    assert post(tenant, event(install_begin_time=time)).json()["warnings"] == []


def test_adjusts_time_of_the_install_is_read(tenant) -> None:
    answer = post(tenant, event(install_begin_time="2026-05-04T15:57:04.000Z+0000"))

    assert answer.json()["warnings"] == []


@pytest.mark.parametrize("time", ["yesterday", "2026-05-04T10:00:00", -5, "1777888800000000000"])
@pytest.mark.parametrize("field", ["install_begin_time", "referrer_click_time_server"])
def test_a_time_of_the_install_that_nobody_can_read_is_kept_and_said(tenant, field, time) -> None:
    answer = post(tenant, event(**{field: time}))

    assert answer.status_code == 202
    (warning,) = answer.json()["warnings"]
    assert warning["pointer"] == f"/{field}"
    assert str(time) in warning["detail"]
    assert events_of(tenant)[0].fields[field] == str(time)


# Refusals: what was sent, and what to send

PARSERS_WORDS = [
    "Expected",
    "expected",
    "Invalid",
    "got `",
    "Object missing",
    "int |",
    "$.",
    "None",
]
WRONG = {
    "text": "@@@",
    "empty": "",
    "number": 7,
    "fraction": 7.5,
    "true": True,
    "null": None,
    "list": [],
    "object": {},
    "nested": [{}],
    "long": "x" * 5_000,
    "negative": -7,
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("field", sorted(FIELD_NAMES))
def test_no_refusal_has_a_parsers_words(field, value) -> None:
    checked = check_event(
        {"event_name": "x", field: value}, reporter=REPORTER, now=datetime.now(UTC)
    )

    for error in checked.errors:
        assert error.pointer.startswith(f"/{field}")
        assert not any(word in error.detail for word in PARSERS_WORDS), error.detail
        assert quote(value) in error.detail or field in ADDED_TO or not value, error.detail
        assert re.search(r"\b(Write|Send|Leave)\b", error.detail), error.detail


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("revenue", "9,99", "Write 9.99."),
        ("price", "9,99", "Write 9.99."),
        ("revenue", "1.299,00", "Write 1299.00."),
        ("revenue", "1,299.00", "Write 1299.00."),
        ("revenue", "1 299,00", "Write 1299.00."),
        ("revenue", "1\u00a0299,5", "Write 1299.5."),
        ("revenue", "1'299.00", "Write 1299.00."),
        ("revenue", "-9,99", "Write -9.99."),
        ("revenue", "1,000", "Write 1000, or 1.000."),
        ("revenue", "1,000,000", "Write 1000000."),
        ("revenue", "€9.99", "Write 9.99, and EUR as the currency."),
        ("revenue", "9,99 €", "Write 9.99, and EUR as the currency."),
        ("revenue", "$4.99", "Write 4.99, and USD as the currency."),
        ("revenue", "4.99 usd", "Write 4.99, and USD as the currency."),
        ("revenue", "much", "such as 9.99"),
        ("revenue", "", "such as 9.99"),
        ("revenue", True, "such as 9.99"),
        ("revenue", [9.99], "such as 9.99"),
        ("revenue", "NaN", "such as 9.99"),
        ("revenue", "0.1234567890123", "0.123456789012."),
        ("quantity", "2", "Write 2, without quotes."),
        ("quantity", "2.0", "Write 2, without quotes."),
        ("quantity", " 007 ", "Write 7, without quotes."),
        ("quantity", 1.5, "1.5 is no whole number"),
        ("quantity", -1, "-1 is no whole number"),
        ("quantity", "two", "“two” is no whole number"),
        ("customer_user_id", 12345, "Write “12345”, in quotes."),
        ("os_version", 17.5, "Write “17.5”, in quotes."),
        ("product_id", True, "true is no text."),
        ("idfa", "x" * 256, "has 256 characters"),
        ("limit_ad_tracking", "yes", "Write true, without quotes."),
        ("eea", "0", "Write false, without quotes."),
        ("gdpr_applies", 2, "2 says neither yes nor no."),
        ("att_status", "authorized", "Write 3, without quotes."),
        ("att_status", 4, "0 (not determined)"),
        ("platform", "iOS", "Write ios;"),
        ("platform", "Android", "Write android;"),
        ("platform", "symbian", "Write one of: ios, android"),
        ("currency", "EURO", "Write EUR"),
        ("currency", "€", "Write EUR"),
        ("currency", 978, "Write “978”, in quotes."),
        ("country", "Germany", "“Germany”"),
        ("ip_address", "192.0.2.38:49153", "Write 192.0.2.38, alone."),
        ("ip_address", "[2001:db8::7]:80", "Write 2001:db8::7, alone."),
        ("ip_address", "192.0.2.38, 10.0.0.1", "Write 192.0.2.38, alone."),
        ("ip_address", "localhost", "“localhost” is no IP address."),
        ("event_id", "seven", "“seven” is no UUID."),
        ("event_id", 7, "7 is no UUID."),
        ("event_time", "yesterday", "“yesterday” is no time."),
        ("event_name", "a\u200bb", "U+200B (zero width space)"),
        ("event_name", "   ", "no visible character"),
        ("event_name", 7, "Write “7”, in quotes."),
        ("event_name", None, "null is no text."),
        ("event_name", "x" * 65, "has 65 characters"),
        ("sharing_opt_out", "Unity Ads", "[“Unity Ads”]"),
        ("sharing_opt_out", ["Unity Ads", 7], "Write “7”, in quotes."),
        ("params", '{"level": 7}', "Send the object itself"),
        ("params", [], "A list is no object."),
        ("params", {"a": 10**20}, f"Write it as a text: “{10**20}”."),
        ("bundle_id", "com.example.other", "Write one of: com.example.gem"),
    ],
)
def test_a_refusal_says_what_to_send(field, value, said) -> None:
    item = json.loads(json.dumps({"event_name": "x", field: value}), parse_float=Decimal)

    checked = check_event(item, reporter=REPORTER, now=datetime.now(UTC))

    assert said in " ".join(error.detail for error in checked.errors)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"params": {"text": "a\0b"}},
        {"params": {"a\0b": 1}},
        {"params": {"deep": [{"er": "\0"}]}},
        {"idfa": "\0", "os_version": "17\0", "user_agent": "\0"},
        {"event_name": "x\0"},
        {"unknown\0": 1},
        {"params": {"not": "\\u0000"}},  # the six characters, which are none
        {"params": {"text": "x" * 32_756}},
        {"params": {"text": "x" * 32_757}},
        {"params": {f"{number:03}": 1e9 for number in range(990)}},
        {"params": {"numbers": [1e-5] * 3_000}},
        {"unknown": "x" * 33_000},
        {"params": {"n": 2**63 - 1}},
        {"params": {"n": 2**63}},
        {"params": {"n": -(2**63)}},
        {"params": {"deep": [1, {"er": 10**400}]}},
        {"params": {"true": True, "null": None, "n": 1.5}},
    ],
)
def test_what_stands_nowhere_in_a_body_is_missed_in_no_event(members) -> None:
    """Events are searched for what PostgreSQL can't hold only if their body holds such a thing."""
    event = {"event_id": str(uuid4()), "event_name": "purchase", **members}
    good = {"event_name": "open", "params": {"text": "x" * 20_000}}
    clock = DeviceClock(datetime.now(UTC))
    bodies = [json.dumps(events).encode() for events in ([event], [event, good])]

    thorough = check_event(
        json.loads(bodies[0], parse_float=Decimal)[0], reporter=REPORTER, now=clock.now
    )

    for body in bodies:
        item = json.loads(body, parse_float=Decimal)[0]
        assert EventChecker(REPORTER, clock, body).check(item) == thorough


def test_each_event_of_a_request_is_checked_as_if_it_came_alone() -> None:
    """What they have in common is read once, and remarked on in each."""
    uuid = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
    sent = [
        {"idfa": uuid.upper()},
        {"gaid": uuid.upper()},
        {"gaid": uuid},
        {"android_id": uuid},
        {"install_id": uuid, "idfa": "null"},
        {"install_id": "{" + uuid + "}"},
        {"install_id": "device-1"},
        {"customer_user_id": "device-1"},
        {"idfv": "device-1"},
        {"customer_user_id": "", "install_id": ""},
        {"click_id": "{click_id}", "gclid": "device-1"},
        {"ip_address": "203.0.113.7"},
        {"ip_address": "::ffff:203.0.113.7"},
        {"ip_address": " 203.0.113.7"},
        {"ip_address": ""},
        {"ip_address": "here"},
        {"ip_address": None},
        {"event_name": " open "},
        {"event_name": "   "},
        {"event_name": "a\u200bb"},
        {"country": "uk", "ip_address": "203.0.113.7"},
    ]
    events = [{"event_id": str(uuid4()), "event_name": "open", **members} for members in sent]
    for own_address in (None, "203.0.113.7", "::ffff:203.0.113.7"):
        reporter = replace(REPORTER, ip_address=own_address)
        clock = DeviceClock(datetime.now(UTC))
        checker = EventChecker(reporter, clock)

        together = [checker.check(event) for event in [*events, *reversed(events)]]

        alone = [check_event(event, reporter=reporter, now=clock.now) for event in events]
        assert together == [*alone, *reversed(alone)]


def test_a_user_agent_is_searched_like_a_body() -> None:
    reporter = replace(REPORTER, user_agent="Gem\0Harbor")
    item, body = {"event_name": "open"}, b'{"event_name": "open"}'

    checked = EventChecker(reporter, DeviceClock(datetime.now(UTC)), body).check(item)

    assert [error.pointer for error in checked.errors] == ["/user_agent"]


@pytest.mark.parametrize(
    ("name", "value", "kept", "is_odd"),
    [
        ("idfa", "6D92078A-8246-4BA4-AE5B-000000000001", True, False),
        ("idfa", "6d92078a-8246-4ba4-ae5b-000000000001", True, False),
        ("idfv", "6D92078A-8246-4BA4-AE5B-00000000000A", True, False),
        ("gaid", "6D92078A-8246-4BA4-AE5B-000000000001", False, False),
        ("android_id", "6d92078a-8246-4ba4-ae5b-000000000001", True, True),
        ("android_id", "6D92078A-8246-4BA4-AE5B-000000000001", True, True),
        ("install_id", "6d92078a-8246-4ba4-ae5b-000000000001", True, False),
        ("customer_user_id", "6D92078A-8246-4BA4-AE5B-000000000001", True, False),
        ("click_id", "6D92078A-8246-4BA4-AE5B-000000000001", True, False),
        ("idfa", "00000000-0000-0000-0000-000000000000", None, True),
        ("idfa", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", None, True),
        ("idfv", "ffffffff-ffff-ffff-ffff-ffffffffffff", None, True),
        ("advertising_id", "6D92078A-8246-4ba4-AE5B-00000000000a", False, False),
    ],
)
def test_a_uuid_is_kept_as_its_kind_is_spelled(name, value, kept, is_odd) -> None:
    """True keeps it as it is written, False in small letters, None leaves it out."""
    checked = check_event(
        {"event_name": "open", name: value}, reporter=REPORTER, now=datetime.now(UTC)
    )

    row = {**checked.row, **checked.row["fields"]}
    assert (row.get(name) or None) == {True: value, False: value.lower(), None: None}[kept]
    assert (name in checked.warnings) == is_odd


def test_an_event_without_name_is_told_to_have_one(tenant) -> None:
    answer = post(tenant, {"revenue": "9,99"})

    (rejected,) = answer.json()["rejected"]
    assert [error["pointer"] for error in rejected["errors"]] == ["/event_name", "/revenue"]


def test_tenjin_is_told_in_its_own_names(tenant) -> None:
    purchase = b"price=9,99&quantity=1&currency=EUR&product_id=p"

    answer = send("/v0/purchase", tenant, purchase, kind=FORM)

    assert answer.status_code == 400
    assert answer.json()["message"] == "price: “9,99” is no amount. Write 9.99."


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"gaid": 7}, "/gaid", "Write “7”, in quotes."),
        ({"gaid": True}, "/gaid", "true is no text."),
        ({"gaid": {}}, "/gaid", "An object is no text."),
        ({"install_id": "x" * 256}, "/install_id", "has 256 characters"),
        ({"install_id": "a\u200bb"}, "/install_id", "U+200B (zero width space)"),
        ({"install_id": ""}, "/install_id", "empty"),
        ({"install_id": "i", "mode": "forgot"}, "/mode", "Write forget;"),
        ({"install_id": "i", "mode": 7}, "/mode", "Write one of: forget, reset"),
        ({"gaidd": "x"}, "/gaidd", "send one of: install_id"),
        ([], "", "A list is no device."),
        ("i", "", "“i” is no device."),
    ],
)
def test_a_refusal_to_forget_says_what_to_send(tenant, body, pointer, said) -> None:
    answer = send("/api/v1/forget-device", tenant, body)

    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert said in error["detail"]


@pytest.mark.parametrize(
    ("fields", "pointer", "said"),
    [
        ({"kind": "clik"}, "/kind", "Write click;"),
        ({"kind": 7}, "/kind", "Write one of: click, impression"),
        ({"link": "no-such"}, "/link", "“no-such”"),
        ({"link": 7}, "/link", "the ID 7"),
        ({"occurred_at": "yesterday"}, "/occurred_at", "“yesterday” is no time."),
        ({"occurred_at": []}, "/occurred_at", "A list is no time."),
        ({"occurred_at": "2020-01-01T00:00:00Z"}, "/occurred_at", "“2020-01-01T00:00:00Z”"),
        ({"occurred_at": 1577836800}, "/occurred_at", "“1577836800”"),
        ({"touchpoint_id": "seven"}, "/touchpoint_id", "“seven” is no UUID."),
        ({"ip_address": "1.2.3.4:80"}, "/ip_address", "Write 1.2.3.4, alone."),
        ({"ip_address": "here"}, "/ip_address", "“here” is no IP address."),
        ({"sub1": {}}, "/sub1", "An object can't be a parameter."),
        ({"sub1": "x" * 2_049}, "/sub1", "has 2,049 characters"),
        ({"params": "a=b"}, "/params", "“a=b” is no object."),
        ({"params": {"sub1": []}}, "/params/sub1", "A list can't be a parameter."),
    ],
)
def test_a_refusal_of_a_touchpoint_says_what_to_send(tenant, fields, pointer, said) -> None:
    with tenant_of(tenant.organization.pk):
        link = make.make_link(make.make_campaign(tenant.app, make.make_partner()))

    answer = send("/api/v1/touchpoints", tenant, {"link": link.token, **fields})

    assert answer.status_code == 422
    ((error,),) = [item["errors"] for item in answer.json()["rejected"]]
    assert error["pointer"] == pointer
    assert said in error["detail"]


@pytest.mark.parametrize("body", [{"events": {}}, {"events": "x"}, {"events": None}])
def test_a_wrapper_that_holds_no_list_is_told_so(tenant, body) -> None:
    answer = post(tenant, body)

    assert answer.status_code == 400
    assert "Send an array of events" in answer.json()["detail"]


def test_half_a_character_in_a_call_of_tenjins_does_not_cost_its_purchase(tenant) -> None:
    body = (
        b'{"price": "9.99", "quantity": 1, "currency": "EUR", "product_id": "p", "note": "\\ud83d"}'
    )

    assert send("/v0/purchase", tenant, body).status_code == 200
    (stored,) = events_of(tenant)
    assert (str(stored.revenue), stored.params) == ("9.99", {"note": "\ufffd"})
