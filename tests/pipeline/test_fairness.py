"""A partner that hangs holds its own share of a pump; a pump that stops starts nothing new."""

import itertools
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer

import pytest

from apps_registry.tenancy import tenant
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.loads import Loads
from postbacks.delivery.shares import most_of_one_lane
from postbacks.infrastructure.database import roles
from postbacks.models import DuePostback, PostbackStatus
from tests import database
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import make_rule, make_tenant
from tests.pipeline.conftest import Answer, RecordingPartner, Run, pump_for
from tests.workers import decide_all

THREADS = RequestsTransport.capacity
PER_LANE = most_of_one_lane(THREADS)

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]


def test_a_partner_that_hangs_delays_nobody_else(
    partner_answering: PartnerAnswering, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    released = Event()
    paths: list[str] = []

    def hang(path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        paths.append(path)
        released.wait(10)
        return 200, {}, b""

    hanging = partner_answering(hang)
    slow, quick = make_tenant("Slow"), make_tenant("Quick")
    for of, url in ((slow, hanging.url), (quick, ok_partner.url)):
        with tenant(of.organization.pk):
            make_rule(url=url)
    record(slow, *(event(install_id=f"device-{n}") for n in range(2 * THREADS)))
    record(quick, event())

    asked_while_hanging: list[int] = []

    def quick_is_over() -> bool:
        if not attempts_of(quick):
            return False
        asked_while_hanging.append(len(paths))
        released.set()  # what is claimed of the slow one may go on from here
        return True

    run_pump(until=quick_is_over)

    assert 0 < asked_while_hanging[0] <= PER_LANE
    assert postbacks_of(quick)[0].status == PostbackStatus.DELIVERED


def test_a_pump_that_stops_gives_back_what_it_has_not_begun(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    stop = Event()

    def answer_after_the_stop(*_: object) -> tuple[int, dict[str, str], bytes]:
        stop.set()
        released.wait(10)
        return 200, {}, b""

    released = Event()
    partner = partner_answering(answer_after_the_stop)
    tenants = [make_tenant(f"Tenant {n}") for n in range(4)]
    for of in tenants:
        with tenant(of.organization.pk):
            make_rule(url=partner.url)
        record(of, *(event(install_id=f"device-{n}") for n in range(20)))

    def stop_soon() -> bool:
        if stop.is_set() and not released.is_set():
            Timer(0.5, released.set).start()
        return stop.is_set()

    run_pump(until=stop_soon)

    assert 0 < len(partner.requests) <= THREADS
    for of in tenants:
        with tenant(of.organization.pk):
            assert not DuePostback.objects.filter(claim_id__isnull=False).exists()
            assert DuePostback.objects.count() == len(postbacks_of(of)) - len(attempts_of(of))


def test_what_is_finished_is_logged_soon_although_its_lane_has_more_to_send(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    released = Event()
    numbers = itertools.count()

    def answer_only_the_first(*_: object) -> tuple[int, dict[str, str], bytes]:
        if next(numbers):
            released.wait(10)
        return 200, {}, b""

    partner = partner_answering(answer_only_the_first)
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(url=partner.url)
    record(gem, *(event(install_id=f"device-{n}") for n in range(2 * PER_LANE)))
    logged: list[int] = []

    def first_is_logged() -> bool:
        logged.append(len(attempts_of(gem)))
        if logged[-1]:
            released.set()
        return logged[-1] > 0

    run_pump(until=first_is_logged)

    assert next(filter(None, logged)) == 1  # a pump beats on while it drains


def test_a_pump_that_stops_gives_back_what_waits_for_its_lane(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    released = Event()
    requests = itertools.count(1)
    full = Event()

    def hang(*_: object) -> tuple[int, dict[str, str], bytes]:
        if next(requests) == PER_LANE:
            full.set()
        released.wait(10)
        return 200, {}, b""

    partner = partner_answering(hang)
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(url=partner.url)
    record(gem, *(event(install_id=f"device-{n}") for n in range(2 * PER_LANE)))

    def stop_when_full() -> bool:
        if full.is_set():
            Timer(0.5, released.set).start()
        return full.is_set()

    run_pump(until=stop_when_full)

    assert len(partner.requests) == len(attempts_of(gem)) == PER_LANE
    with tenant(gem.organization.pk):
        assert not DuePostback.objects.filter(claim_id__isnull=False).exists()
        assert DuePostback.objects.count() == PER_LANE


@pytest.mark.parametrize("transport", ["requests", "curl"])
def test_twenty_partners_that_hang_take_no_room_from_others(
    partner_answering: PartnerAnswering, run_pump: Run, transport: str
) -> None:
    module = pytest.importorskip(f"postbacks.delivery.http.{transport}_transport")
    open_transport = getattr(module, f"{transport.title()}Transport")
    released = Event()
    begun: list[str] = []

    def hang(path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        begun.append(path)
        released.wait(30)
        return 200, {}, b""

    slow, quick = make_tenant("Slow"), make_tenant("Quick")
    hanging = [partner_answering(hang) for _ in range(20)]
    good = partner_answering(lambda *_: (200, {}, b"ok"))
    for partner in (*hanging, good):  # the good one is the same tenant's, and decided last
        with tenant(slow.organization.pk):
            make_rule(url=partner.url)
    with tenant(quick.organization.pk):
        make_rule(url=good.url + "/quick")
    record(slow, *(event(install_id=f"device-{n}") for n in range(30)))
    record(quick, *(event(install_id=f"device-{n}") for n in range(30)))

    def others_are_over() -> bool:
        is_over = len(good.requests) == 60
        if is_over:
            released.set()
        return is_over

    run_pump(until=others_are_over, seconds=25, open_transport=open_transport)

    assert not any(attempt.error for attempt in attempts_of(quick))
    assert len(good.requests) == 60
    assert len(begun) >= 20  # each was asked


@pytest.mark.parametrize("limits", [{}, {"rate_limit_per_second": 1_000}], ids=["plain", "paced"])
def test_a_pump_for_others_leaves_events_and_postbacks_of_whoever_takes_much(
    limits: dict[str, object], ok_partner: RecordingPartner, run_pump: Run, tmp_path: Path
) -> None:
    busy, quiet = make_tenant("Busy"), make_tenant("Quiet")
    for of in (busy, quiet):
        with tenant(of.organization.pk):
            make_rule(url=ok_partner.url, **limits)
        record(of, event(), event())
    decide_all()  # two are to be claimed
    for of in (busy, quiet):
        record(of, event())  # and one to be decided
    first, second = (Loads(slot, 2, tmp_path / "loads", clock=lambda: 100.0) for slot in (0, 1))
    first.note([busy.organization.pk], 60.0)
    first.note([quiet.organization.pk], 0.001)
    first.divide()

    run_pump(until=lambda: len(attempts_of(quiet)) == 3, loads=second)
    assert (len(postbacks_of(busy)), attempts_of(busy)) == (2, [])

    record(quiet, event())
    first, second = (Loads(slot, 2, tmp_path / "loads", clock=lambda: 101.0) for slot in (0, 1))
    second.divide()  # it lives
    first.note([busy.organization.pk], 60.0)
    first.note([quiet.organization.pk], 0.001)
    run_pump(until=lambda: len(attempts_of(busy)) == 3, loads=first)
    assert (len(postbacks_of(quiet)), len(attempts_of(quiet))) == (3, 3)

    run_pump(until=lambda: len(attempts_of(quiet)) == 4)


@pytest.mark.parametrize("is_relieved", [False, True])
def test_a_pump_that_hands_on_serves_until_its_successor_does(
    is_relieved: bool, ok_partner: RecordingPartner, tmp_path: Path
) -> None:
    gem = make_tenant("Gem")
    with tenant(gem.organization.pk):
        make_rule(url=ok_partner.url)
    pump, successor = (Loads(0, 1, tmp_path / "loads") for _ in range(2))
    is_handed_on = False

    def hand_on() -> bool:
        nonlocal is_handed_on
        if is_relieved:
            successor.divide()
        with database.as_role(roles.WEB):
            record(gem, event())
        is_handed_on = True
        return True

    def beat() -> bool:
        with database.as_role(roles.WEB):
            is_sent = bool(attempts_of(gem))
        if is_sent and is_handed_on:
            successor.divide()
        return True

    pump_for(0.1, beat, beat_seconds=0.01, hand_on=hand_on, loads=pump)

    assert len(attempts_of(gem)) == (0 if is_relieved else 1)


def test_a_backlog_is_sent_although_others_are_served_without_a_pause(
    ok_partner: RecordingPartner, run_pump: Run, tmp_path: Path
) -> None:
    gem = make_tenant("Gem")
    with tenant(gem.organization.pk):
        make_rule(url=ok_partner.url)
    record(gem, *(event(install_id=f"device-{n}") for n in range(10)))
    decide_all()
    record(gem, event())
    backlogs, others = (Loads(slot, 2, tmp_path / "loads", clock=lambda: 100.0) for slot in (0, 1))
    backlogs.note([gem.organization.pk], 60.0)
    others.note([gem.organization.pk + 1], 0.001)
    others.divide()
    backlogs.divide()
    others = Loads(1, 2, tmp_path / "loads", clock=lambda: 100.0)
    others.divide()
    others.begin_work()
    assert backlogs.must_give_way()

    run_pump(until=lambda: len(attempts_of(gem)) == 11, loads=backlogs)
