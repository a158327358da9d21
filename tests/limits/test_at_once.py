"""Few of an organization's long requests run at once, and the others' are answered meanwhile."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread
from time import monotonic

import pytest
from django.http import StreamingHttpResponse
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.jobs import try_turn
from postbacks.infrastructure.rate_limits import at_once
from postbacks.infrastructure.rate_limits.at_once import LongRequests, TooManyAtOnceError
from postbacks.rulebook import discrepancies
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.database import superuser

pytestmark = pytest.mark.django_db(transaction=True)

URL = {"url": "https://ads.example.com/"}
OURS, THEIRS, OTHERS = 1, 2, 3


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(at_once, "WAIT_SECONDS", 0.05)
    at_once.long_requests.cache_clear()
    yield
    at_once.long_requests.cache_clear()


def test_an_organization_has_two_long_requests_at_once() -> None:
    long = LongRequests(6)
    ends = [long.begin(OURS), long.begin(OURS)]

    with pytest.raises(TooManyAtOnceError):
        long.begin(OURS)
    long.begin(THEIRS)()
    ends[0]()
    long.begin(OURS)()


def test_the_next_begins_when_one_ends_and_only_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "WAIT_SECONDS", 30.0)
    long, begun = LongRequests(6), []
    ends = [long.begin(OURS), long.begin(OURS)]
    waiting = Thread(target=lambda: begun.append(long.begin(OURS)))
    waiting.start()
    while not long._waiting[OURS]:
        pass

    with pytest.raises(TooManyAtOnceError):
        long.begin(OURS)
    ends[1]()
    waiting.join(30)
    assert len(begun) == 1


def test_many_organizations_together_leave_threads_to_what_is_short() -> None:
    long = LongRequests(3)
    ends = [long.begin(OURS), long.begin(THEIRS), long.begin(THEIRS)]

    with pytest.raises(TooManyAtOnceError):
        long.begin(OTHERS)
    for end in ends:
        end()
    long.begin(OTHERS)()
    assert not long._running
    assert not long._waiting


def test_a_file_has_its_place_until_it_is_closed_or_nobody_has_it() -> None:
    long = LongRequests(6)
    for ends in (lambda response: response.close(), lambda _response: None):
        response = StreamingHttpResponse(iter([b"a"]))
        with ExitStack() as turn:
            turn.callback(long.begin(OURS))
            at_once.end_with(response, turn)
        assert long._running[OURS] == 1
        ends(response)
        del response
        assert not long._running


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "callback-rules/preview", URL),
        ("POST", "callback-rules/translate", URL),
        ("POST", "alerts/preview", {"kind": "no_events"}),
        ("POST", "organization/import", {}),
        ("GET", "organization/export", None),
        ("POST", "discrepancies", {}),
        ("POST", "replays", {}),
        ("GET", "search?q=a", None),
        ("GET", "devices/explain?id=a", None),
    ],
)
def test_what_takes_long_is_refused_to_who_has_enough_of_it_alone(
    method: str, path: str, body: object
) -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    for _ in range(2):
        at_once.long_requests().begin(ours.organization.pk)

    refused = owner_of(ours).send(method, path, body)

    assert refused.status == 429, refused.data
    assert refused.headers["Retry-After"] == "2"
    assert owner_of(theirs).send(method, path, body).status != 429
    assert owner_of(ours).get("apps").status == 200


@pytest.mark.parametrize(
    "page",
    [
        *("postbacks/event/export/", "apps_registry/app/export/", "configuration/export/"),
        *(
            "search/?q=a",
            "fraud-report/",
            "postbacks/alert/preview/",
            "postbacks/callbackrule/preview/",
        ),
        *("configuration/import/", "postbacks/discrepancy/start/"),
    ],
)
def test_pages_that_take_long_say_when_to_come_back(page: str) -> None:
    ours = make.make_tenant("Ours")
    browser = sign_in(ours.owner)
    for _ in range(2):
        at_once.long_requests().begin(ours.organization.pk)

    answer = browser.get(f"/admin/{page}")

    assert answer.status_code == 429
    assert answer["Retry-After"] == "2"
    assert "try again in 2 seconds" in answer.content.decode()
    assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/apps", "/admin/apps_registry/app/export/"])
def test_a_file_takes_its_turn_until_all_of_it_was_sent(path: str) -> None:
    ours = make.make_tenant()
    client = sign_in(ours.owner) if path.startswith("/admin") else owner_of(ours).client
    csv = {"Accept": "text/csv"}
    kept = [_opened(client, path, csv), _opened(client, path, csv)]

    assert client.get(path, headers=csv).status_code == 429
    for answer in kept:
        answer.close()
    assert client.get(path, headers=csv).status_code == 200


def _opened(client: Client, path: str, headers: dict[str, str]):
    """Ask for a file whose answer is not closed yet; the test's client closes what it was given."""
    answer = client.get(path, headers=headers)
    assert answer.streaming
    return answer


def test_a_request_that_fails_gives_its_turn_back() -> None:
    ours = make.make_tenant()
    for _ in range(5):
        assert owner_of(ours).post("callback-rules/preview", {"nonsense": 1}).status == 400

    assert not at_once.long_requests()._running


def test_a_list_is_not_read_where_there_is_no_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discrepancies, "MOST_KEPT", 0)
    ours = make.make_tenant()
    with tenant(ours.organization.pk):
        partner = make.make_partner()
    text = "\n".join(f"id-{n},2026-11-30,1.00" for n in range(90_000))
    began_at = monotonic()

    answer = owner_of(ours).post("discrepancies", {"partner": str(partner.public_id), "text": text})

    assert answer.status == 409
    assert "comparisons" in str(answer.data), monotonic() - began_at


def test_one_configuration_is_imported_at_a_time() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    document = owner_of(ours).get("organization/export").data
    lock = "SELECT pg_advisory_lock(hashtext('configuration'), %s)"
    superuser().execute(lock, [ours.organization.pk])
    try:
        assert owner_of(ours).post("organization/import", document).status == 409
        page = sign_in(ours.owner).post(
            "/admin/configuration/import/", {"document": json.dumps(document)}
        )
        assert "being imported just now" in page.content.decode()
        assert owner_of(theirs).post("organization/import", document).status == 200
    finally:
        superuser().execute("SELECT pg_advisory_unlock_all()")
    assert owner_of(ours).post("organization/import", document).status == 200
    with tenant(ours.organization.pk):
        assert try_turn("configuration")


def test_a_document_with_many_faults_names_some_of_them() -> None:
    ours = make.make_tenant()
    wrong = [{"name": f"r{n}", "url": "https://ads.example.com/{{nonsense}}"} for n in range(150)]
    document = {**owner_of(ours).get("organization/export").data, "callback_rules": wrong}

    answer = owner_of(ours).post("organization/import", document)

    assert answer.status == 400
    assert len(answer.data["errors"]) == 100
