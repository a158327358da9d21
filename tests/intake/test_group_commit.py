"""Requests that come at one moment are committed together, and each gets its own answer."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, DataError, OperationalError, connection
from psycopg import sql

from apps_registry.models import TrackingLink
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.intake import group_commit
from postbacks.intake.events import recording
from postbacks.intake.group_commit import BusyError, GroupCommit
from postbacks.intake.receipts import Receipt
from postbacks.intake.touchpoints import recording as touchpoints
from postbacks.models import Event, UndecidedEvent
from postbacks.privacy import tombstones
from tests import database, events, make
from tests.intake.links import opening

pytestmark = pytest.mark.django_db(transaction=True)


class Reports:
    """Requests in threads of their own, and what each was answered."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self._threads: list[threading.Thread] = []

    def send(self, name: str, report: Callable[[], object]) -> None:
        def run() -> None:
            try:
                self.answers[name] = report()
            except (DatabaseError, UnicodeError) as error:
                self.answers[name] = error
            finally:
                connection.close()

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def join_first(self) -> None:
        self._threads[0].join(30)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_events_of_many_organizations_that_wait_are_committed_together() -> None:
    first, second = make.make_tenant(), make.make_tenant("Tidal Reach")
    again = events.event()
    sent = {
        "first": (first, [events.event(), events.event()]),
        "second": (second, [events.event()]),
        "same id": (first, [again, events.event()]),
        "same id again": (first, [again]),
        "same id elsewhere": (second, [again]),
        "one of two is wrong": (second, [events.event(), events.event(revenue="much")]),
    }
    reports = Reports()

    with database.superuser().transaction():
        database.superuser().execute("LOCK TABLE event_key IN SHARE MODE")  # nobody can write
        reports.send("leads", lambda: events.record(first, events.event()))
        database.wait_for_a_lock()
        for number, (name, (of, each)) in enumerate(sent.items(), start=1):
            reports.send(name, lambda of=of, each=each: events.record(of, *each))  # type: ignore[misc]
            wait_until(lambda number=number: len(recording._commits._waiting) == number)  # type: ignore[misc]
    reports.join()

    def counts(name: str) -> tuple[int, int, int]:
        answer = reports.answers[name]
        assert isinstance(answer, Receipt), answer
        return answer.accepted, answer.duplicates, len(answer.rejected)

    assert {name: counts(name) for name in sent} == {
        "first": (2, 0, 0),
        "second": (1, 0, 0),
        "same id": (2, 0, 0),
        "same id again": (0, 1, 0),
        "same id elsewhere": (1, 0, 0),
        "one of two is wrong": (1, 0, 1),
    }
    for of, expected in ((first, 5), (second, 3)):
        with tenant(of.organization.pk):
            assert Event.objects.count() == UndecidedEvent.objects.count() == expected
            times = set(Event.objects.values_list("received_at", flat=True))
            assert len(times) == (2 if of is first else 1)  # the leader's, and everybody else's


def test_events_of_one_commit_are_stored_as_each_says_whatever_most_of_them_have_in_common() -> (
    None
):
    of = make.make_tenant()
    columns = ("event_name", "event_time", "bundle_id", "platform", "customer_user_id", "currency")
    happened_at = (datetime.now(UTC) - timedelta(hours=3)).replace(microsecond=0)
    said = {
        "event_time": happened_at,
        "platform": "tv",
        "customer_user_id": "customer-7",
        "currency": "EUR",
        "revenue": Decimal("0.000000000001"),
    }
    first = {**said, "event_time": happened_at.isoformat(), "revenue": "0.000000000001"}
    sent = [events.event("trial", **first), *(events.event() for _ in range(4))]
    sent.append(events.event("trial", **first))

    receipt = events.record(of, *sent)

    assert receipt.accepted == len(sent)
    with tenant(of.organization.pk):
        rows = list(Event.objects.order_by("pk").values("event_id", "revenue", *columns))
    assert [str(row.pop("event_id")) for row in rows] == [each["event_id"] for each in sent]
    of_most = rows[1]
    assert rows == [rows[0], *([of_most] * 4), rows[0]]
    assert rows[0] == {**rows[0], **said, "event_name": "trial"}
    assert of_most | {"event_time": None} == {
        "event_name": "purchase",
        "event_time": None,
        "bundle_id": of.bundle_id.identifier,
        "platform": of.app.platform,
        "customer_user_id": "",
        "currency": "",
        "revenue": None,
    }


@pytest.mark.parametrize(
    "large",
    [
        [events.event() for _ in range(20)],
        [events.event(params={"text": "x" * 30_000}) for _ in range(3)],
        [events.event(params={f"k{number}": "x" * 300}) for number in range(100)] * 10,
        [events.event(revenue="much") for _ in range(50)] + [events.event()] * 17,
    ],
    ids=["many events", "large events", "both", "of which one is good"],
)
def test_no_single_event_waits_for_a_large_report(large: list[dict[str, object]]) -> None:
    """Neither for its commit nor for another one that is being read."""
    busy, quiet = make.make_tenant("Busy"), make.make_tenant("Quiet")
    reports = Reports()

    with database.superuser().transaction():
        database.superuser().execute(  # whoever writes the same event waits for this transaction
            "INSERT INTO event_key (id, organization_id, app_id, event_id, received_at)"
            " VALUES (nextval('event_key_id_seq'), %s, %s, %s, now())",
            [busy.organization.pk, busy.app.pk, large[-1]["event_id"]],
        )
        reports.send("large", lambda: events.record(busy, *large))
        database.wait_for_a_lock()
        with recording._one_is_read:
            reports.send("another", lambda: events.record(busy, *large))
            receipt = events.record(quiet, events.event())
            assert not reports.answers
    reports.join()

    assert receipt.accepted == 1
    for answer in reports.answers.values():
        assert isinstance(answer, Receipt), answer


def test_clicks_that_wait_are_committed_together_and_each_is_answered_its_own() -> None:
    first, second = opening.advertise(), opening.advertise()
    for each in (first, second):
        each.click()  # whose links are known from now on
    device = "s2s=1&gaid=38400000-8cf0-11bd-b23e-10b96e40000d"
    sent: dict[str, Callable[[], object]] = {
        "person": lambda: first.click("click_id=of-a-person"),
        "network": lambda: first.click(f"{device}&click_id=same"),
        "network again": lambda: first.click(f"{device}&click_id=same"),
        "network elsewhere": lambda: second.click(f"{device}&click_id=same"),
        "impression": lambda: second.see(),
    }
    answers = _clicks_that_wait(first, sent)

    assert answers["person"].status_code == 302
    assert answers["impression"].status_code == 200
    same, again, elsewhere = (
        answers[f"network{name}"].json() for name in ("", " again", " elsewhere")
    )
    assert (same["duplicate"], again["duplicate"], elsewhere["duplicate"]) == (False, True, False)
    assert same["click_id"] == again["click_id"] != elsewhere["click_id"]
    for of, expected in ((first, 4), (second, 3)):
        touches = of.touchpoints()
        assert len(touches) == expected
        assert len({touch.received_at for touch in touches[-2:]}) == 1  # by one commit


def test_a_click_that_waited_while_its_link_was_archived_is_not_recorded() -> None:
    kept, archived = opening.advertise(), opening.advertise()
    for each in (kept, archived):
        each.click()

    def archive() -> None:
        with tenant(archived.tenant.organization.pk):
            TrackingLink.objects.update(status=Lifecycle.ARCHIVED)

    sent = {"kept": lambda: kept.click(), "archived": lambda: archived.click()}
    answers = _clicks_that_wait(kept, sent, meanwhile=archive)

    assert (answers["kept"].status_code, answers["archived"].status_code) == (302, 404)
    assert (len(kept.touchpoints()), len(archived.touchpoints())) == (3, 1)


def _clicks_that_wait(
    leading: opening.Advertised,
    sent: Mapping[str, Callable[[], object]],
    meanwhile: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return the answers to calls that had to wait for one commit."""
    reports = Reports()
    with database.superuser().transaction():
        database.superuser().execute("LOCK TABLE touchpoint_seen IN SHARE MODE")  # nobody can write
        reports.send("leads", leading.click)
        database.wait_for_a_lock()
        for number, (name, call) in enumerate(sent.items(), start=1):
            reports.send(name, call)
            wait_until(lambda number=number: len(touchpoints._commits._waiting) == number)  # type: ignore[misc]
        meanwhile()
    reports.join()
    return reports.answers


def test_each_organization_sees_only_its_own_rows_within_one_round_trip() -> None:
    first, second = make.make_tenant(), make.make_tenant("Tidal Reach")
    statement = "SELECT array_agg(organization_id), %(word)s FROM app"
    ids = [second.organization.pk, first.organization.pk]

    answers = group_commit.run_for_organizations(statement, {each: {"word": "x"} for each in ids})

    assert answers == {each: [([each], "x")] for each in ids}
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('pb.org', true), count(*) FROM app")
        assert cursor.fetchone() == ("", 0)


def test_what_one_statement_refuses_leaves_nothing_of_the_others() -> None:
    of = make.make_tenant()
    statement = "INSERT INTO cache_entry (key, value, ends_at) VALUES (%(key)s, '1', now())"
    ids = sorted([of.organization.pk, make.make_tenant("Tidal Reach").organization.pk])

    with pytest.raises(DataError):
        group_commit.run_for_organizations(
            statement, {ids[0]: {"key": "kept?"}, ids[1]: {"key": "x" * 10_000}}
        )

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cache_entry")
        assert cursor.fetchone() == (0,)


def test_a_device_that_is_the_first_to_be_forgotten_is_refused_at_once() -> None:
    """No process knows the organization's key yet, which is made together with the tombstone."""
    of = make.make_tenant()
    events.record(of, events.event(install_id="lost"))
    with tenant(of.organization.pk):
        tombstones.block_device(of.app.pk, [("install_id", "lost")])
    tombstones._cached_keys.clear()

    receipt = events.record(of, events.event(install_id="lost"), events.event(install_id="kept"))

    assert (receipt.accepted, [each.index for each in receipt.rejected]) == (1, [0])
    assert receipt.rejected[0].errors[0].pointer == "/install_id"


class Held:
    """Writes words, once it is let go; refuses `bad`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.groups: list[list[str]] = []

    def __call__(self, works: Sequence[str]) -> list[str]:
        self.groups.append(list(works))
        assert self.go.wait(30)
        if "bad" in works:
            raise DataError("bad")
        return [work.upper() for work in works]


def test_one_that_postgresql_refuses_is_refused_alone() -> None:
    write, reports = Held(), Reports()
    commits = GroupCommit(write)

    reports.send("first", lambda: commits.commit("first"))
    wait_until(lambda: len(write.groups) == 1)
    for number, word in enumerate(("good", "bad", "fine"), start=1):
        reports.send(word, lambda word=word: commits.commit(word))  # type: ignore[misc]
        wait_until(lambda number=number: len(commits._waiting) == number)  # type: ignore[misc]
    write.go.set()
    reports.join()

    assert write.groups == [["first"], ["good", "bad", "fine"], ["good"], ["bad"], ["fine"]]
    assert isinstance(reports.answers.pop("bad"), DataError)
    assert reports.answers == {"first": "FIRST", "good": "GOOD", "fine": "FINE"}


def test_one_that_cannot_even_be_written_costs_the_others_nothing() -> None:
    """As text that has no form in UTF-8: the error is Python's, and comes before PostgreSQL's."""
    go, groups = threading.Event(), list[list[str]]()

    def write(works: Sequence[str]) -> list[bytes]:
        groups.append(list(works))
        assert go.wait(30)
        return [work.encode() for work in works]

    reports, commits = Reports(), GroupCommit(write)
    reports.send("first", lambda: commits.commit("first"))
    wait_until(lambda: len(groups) == 1)
    for number, word in enumerate(("good", "\ud800", "fine"), start=1):
        reports.send(word, lambda word=word: commits.commit(word))  # type: ignore[misc]
        wait_until(lambda number=number: len(commits._waiting) == number)  # type: ignore[misc]
    go.set()
    reports.join()

    assert isinstance(reports.answers.pop("\ud800"), UnicodeEncodeError)
    assert reports.answers == {"first": b"first", "good": b"good", "fine": b"fine"}


def test_who_waits_too_long_is_told_that_nothing_was_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "WAIT_SECONDS", 0.01)
    write, reports = Held(), Reports()
    commits = GroupCommit(write)

    reports.send("first", lambda: commits.commit("first"))
    wait_until(lambda: len(write.groups) == 1)
    with pytest.raises(BusyError):
        commits.commit("late")
    write.go.set()
    reports.join()
    after = commits.commit("after")

    assert (write.groups, after) == ([["first"], ["after"]], "AFTER")


class LateTurn:
    """The turn of an entry: it comes at the moment when its request gives up waiting."""

    def __init__(self, come: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._come = come

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout < 0:
            return self._lock.acquire(blocking)
        self._come()
        return False

    def release(self) -> None:
        self._lock.release()


def test_a_turn_that_comes_when_its_request_gives_up_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, reports = Held(), Reports()
    commits = GroupCommit(write)
    reports.send("first", lambda: commits.commit("first"))
    wait_until(lambda: len(write.groups) == 1)

    def come() -> None:
        reports.send("third", lambda: commits.commit("third"))
        wait_until(lambda: len(commits._waiting) == 2)
        write.go.set()
        reports.join_first()

    entry = group_commit._Entry("second", turn=LateTurn(come))  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(
            group_commit,
            "_Entry",
            lambda work, make=group_commit._Entry: entry if work == "second" else make(work),
        )
        second = commits.commit("second")
    reports.join()
    after = commits.commit("after")

    assert (second, after) == ("SECOND", "AFTER")
    assert reports.answers == {"first": "FIRST", "third": "THIRD"}


def test_a_database_that_is_away_is_away_for_all_that_wait() -> None:
    of, reports = make.make_tenant(), Reports()

    with database.superuser().transaction():
        database.superuser().execute("LOCK TABLE event_key IN SHARE MODE")
        reports.send("leads", lambda: events.record(of, events.event()))
        database.wait_for_a_lock()
        for number in (1, 2):
            reports.send(str(number), lambda: events.record(of, events.event()))
            wait_until(lambda number=number: len(recording._commits._waiting) == number)  # type: ignore[misc]
        database.superuser().execute(
            sql.SQL(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                " current_database() AND wait_event_type = 'Lock'"
            )
        )
        wait_until(lambda: "leads" in reports.answers)
    reports.join()

    assert isinstance(reports.answers["leads"], OperationalError)
    with tenant(of.organization.pk):
        assert Event.objects.count() == 2  # those who came after wrote on connections of their own
