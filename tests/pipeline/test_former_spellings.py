"""Devices of the version before, whose ids were stored as they were written, come back.

The rows here are those that version made: every id in its spelling, digested as it did then.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.models import (
    ErasureTombstone,
    EventKey,
    Install,
    InstallKey,
    PostbackStatus,
    RuleDevice,
    UnsettledInstall,
)
from postbacks.privacy import erasure, tombstones
from postbacks.values import identifiers
from tests import database
from tests.api.calling import Program
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant, make_tenant_rule
from tests.touches import make_network
from tests.workers import decide, work

pytestmark = pytest.mark.django_db(transaction=True)

ID = "38400000-8cf0-11bd-b23e-10b96e40000d"
SPELLINGS = [ID, ID.upper(), ID.replace("-", ""), ID.replace("-", "").upper()]
MIXED = "38400000-8Cf0-11bD-b23e-10b96e40000D"
BRACED = "{" + ID.upper() + "}"
ADVERTISING = {"idfa", "gaid", "oaid", "amazon_id", "advertising_id"}
OWN = {"install_id", "web_id"}
KINDS = ["install_id", "gaid", "idfa", "idfv", "app_set_id", "amazon_id", "web_id"]


def former_identifier(kind: str, value: str) -> str:
    """Return the identifier that the version before made of an id."""
    shared = "advertising" if kind in ADVERTISING else kind
    return f"{shared}:{value if kind in OWN else value.lower()}"


def former_device(kind: str, value: str) -> str:
    return f"advertising:{value.lower()}" if kind in ADVERTISING else f"{kind}:{value}"


@dataclass(frozen=True, slots=True)
class FormerInstall:
    """An install that the version before has recorded."""

    row: Install
    made: Tenant

    @classmethod
    def of(cls, made: Tenant, kind: str, value: str, *, days_ago: float = 2) -> "FormerInstall":
        at = datetime.now(UTC) - timedelta(days=days_ago)
        identifier = former_identifier(kind, value)
        with database.as_role(roles.WORKER), tenant(made.organization.pk):
            began = EventKey.objects.create(app=made.app, event_id=UUID(int=1), received_at=at)
            row = Install.objects.create(
                app=made.app,
                device=former_device(kind, value),
                install_id=value if kind == "install_id" else "",
                installed_at=at,
                last_open_at=datetime.now(UTC),
                event_ref=began.pk,
                event_received_at=at,
            )
            key = identifiers.key_of(made.app.pk, identifier)
            InstallKey.objects.create(app=made.app, key=key, install=row, lasting=True)
        return cls(row, made)


def installs_of(made: Tenant) -> list[Install]:
    with tenant(made.organization.pk):
        return list(Install.objects.order_by("id"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_of_before_comes_back_in_any_spelling_and_is_no_new_install(kind: str) -> None:
    formers = [FormerInstall.of(make_tenant(), kind, stored) for stored in SPELLINGS]
    for former in formers:
        make_tenant_rule(former.made, triggers=["install", "reinstall", "reattribution"])

    for spelling in SPELLINGS:
        for former in formers:
            record(former.made, event("open", **{"install_id": None, kind: spelling}))
        work()

    for former in formers:
        assert [install.pk for install in installs_of(former.made)] == [former.row.pk]
        assert postbacks_of(former.made) == []


@pytest.mark.parametrize(
    ("kind", "written"),
    [("install_id", MIXED), ("install_id", BRACED), ("gaid", MIXED), ("idfv", f"urn:uuid:{ID}")],
)
def test_a_device_of_before_that_writes_its_id_in_its_own_way_is_found_so(
    kind: str, written: str
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, triggers=["install", "reinstall"])
    rule = make_tenant_rule(gem, triggers=["*"], frequency="first")
    former = FormerInstall.of(gem, kind, written)
    serve(gem, rule.pk, former.row.device)

    record(gem, event("open", **{"install_id": None, kind: written}))
    work()

    assert [install.pk for install in installs_of(gem)] == [former.row.pk]
    assert postbacks_of(gem) == []


def test_an_id_of_tenjins_servers_finds_the_installation_that_was_stored_without_dashes() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, triggers=["install", "reinstall"])
    former = FormerInstall.of(gem, "install_id", ID.replace("-", ""))

    answers = [
        Client().get(
            "/v0/event",
            {"api_key": gem.sdk_key, "analytics_installation_id": spelling, "platform": "android"},
        )
        for spelling in SPELLINGS
    ]
    work()

    assert [answer.json() for answer in answers] == [{"code": 200}] * 4
    assert [install.pk for install in installs_of(gem)] == [former.row.pk]
    assert postbacks_of(gem) == []


def test_tenjins_sdk_and_the_api_find_the_installation_in_any_spelling() -> None:
    gem = make_tenant()
    former = FormerInstall.of(gem, "install_id", ID.replace("-", "").upper())

    for spelling in SPELLINGS:
        credit = Client().get(
            "/v0/user", {"api_key": gem.sdk_key, "analytics_installation_id": spelling}
        )
        (found,) = Program(gem.api_token).rows("installs", install_id=spelling)

        assert credit.json() == {"ad_network": "organic"}
        assert found["id"] == str(former.row.public_id)


def test_a_device_that_comes_back_is_a_reinstall_of_the_one_it_was() -> None:
    gem = make_tenant()
    FormerInstall.of(gem, "install_id", ID.upper())

    record(gem, event("install", install_id=ID))
    work()

    assert [(i.kind, i.number, i.device) for i in installs_of(gem)] == [
        ("install", 1, f"install_id:{ID.upper()}"),
        ("reinstall", 2, f"install_id:{ID}"),
    ]


def serve(made: Tenant, rule: int, device: str) -> None:
    """Note that a rule has served a device, as the version before did."""
    with database.as_role(roles.WORKER), tenant(made.organization.pk):
        RuleDevice.objects.create(rule_id=rule, device=f"{made.app.pk}:{device}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_had_its_first_time_before_does_not_have_it_again(kind: str) -> None:
    served = [make_tenant() for _ in SPELLINGS]
    for gem, stored in zip(served, SPELLINGS, strict=True):
        rule = make_tenant_rule(gem, triggers=["purchase"], frequency="first")
        serve(gem, rule.pk, former_device(kind, stored))
        record(gem, *(event(**{"install_id": None, kind: spelling}) for spelling in SPELLINGS))

    decide()

    assert [postbacks_of(gem) for gem in served] == [[], [], [], []]


def test_a_device_of_before_stays_in_the_sample_or_out_of_it() -> None:
    served = []
    for number in range(12):
        gem = make_tenant()
        make_tenant_rule(gem, triggers=["open"], sampling_percent=50)
        former = FormerInstall.of(gem, "install_id", f"{number:08d}-8CF0-11BD-B23E-10B96E40000D")
        record(gem, event("open", install_id=former.row.install_id.lower()))
        served.append((gem, is_in_half(former.row.device)))

    work()

    assert [bool(postbacks_of(gem)) for gem, _ in served] == [expected for _, expected in served]


def is_in_half(device: str) -> bool:
    """Tell whether the version before had a device in a sample of 50 %."""
    digest = hashlib.blake2b(device.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % 100 < 50


def test_a_forgotten_devices_rows_of_before_are_emptied_whichever_spelling_is_named() -> None:
    for stored in [*SPELLINGS, MIXED]:
        gem = make_tenant()
        FormerInstall.of(gem, "install_id", stored)
        with tenant(gem.organization.pk):
            rule = make_rule()
        serve(gem, rule.pk, f"install_id:{stored}")

        named = stored if stored == MIXED else ID
        Program(gem.sdk_key).post("forget-device", {"install_id": named})
        with database.as_role(roles.WORKER):
            erasure.work(5, last_pass_after=timedelta(0))

        with database.as_role(roles.WORKER), tenant(gem.organization.pk):
            assert Install.objects.get().device.startswith("erased")
            assert not InstallKey.objects.exists()
            assert not RuleDevice.objects.filter(device__contains=stored).exists()


def test_a_new_device_has_its_first_time_once_in_all_spellings() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, triggers=["purchase"], frequency="first")

    for spelling in [*SPELLINGS, MIXED, BRACED]:
        record(gem, event(install_id=spelling))
        decide()

    (postback,) = postbacks_of(gem)
    assert postback.status == PostbackStatus.PENDING


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_was_forgotten_before_is_refused_in_any_spelling(kind: str) -> None:
    for named in SPELLINGS:
        gem = make_tenant()
        forget_as_before(gem, former_identifier(kind, named))

        receipt = record(
            gem, *(event(**{"install_id": None, kind: spelling}) for spelling in SPELLINGS)
        )

        assert receipt.accepted == 0
        assert [each.errors[0].pointer for each in receipt.rejected] == [f"/{kind}"] * 4


def test_a_customers_id_is_compared_as_it_is_written() -> None:
    gem = make_tenant()
    forget_as_before(gem, f"customer_user_id:{ID.upper()}")

    receipt = record(
        gem, *(event(install_id=None, customer_user_id=form) for form in (ID.upper(), ID))
    )

    assert [each.index for each in receipt.rejected] == [0]


@pytest.mark.parametrize("kind", ["install_id", "gaid"])
def test_a_forgotten_device_that_writes_its_id_in_its_own_way_is_refused(kind: str) -> None:
    gem = make_tenant()
    forget_as_before(gem, former_identifier(kind, MIXED))

    receipt = record(gem, event(**{"install_id": None, kind: MIXED}))

    assert receipt.accepted == 0


def forget_as_before(made: Tenant, identifier: str) -> None:
    with database.as_role(roles.WORKER), tenant(made.organization.pk):
        digest = tombstones.digest(tombstones.ensure_key(), made.app.pk, identifier)
        ErasureTombstone.objects.create(app=made.app, digest=digest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_is_forgotten_in_all_spellings_whichever_is_named(kind: str) -> None:
    for forgotten in [*SPELLINGS, MIXED, BRACED]:
        gem = make_tenant()
        program = Program(gem.sdk_key)

        first = program.post("forget-device", {kind: forgotten})
        again = program.post("forget-device", {kind: ID})
        receipt = record(
            gem,
            *(event(**{"install_id": None, kind: form}) for form in [*SPELLINGS, MIXED, BRACED]),
        )

        assert (first.status, again.status) == (202, 202)
        assert again.data["id"] == first.data["id"]
        assert (receipt.accepted, len(receipt.rejected)) == (0, 6)


def click_with(made: Tenant, link: TrackingLink, *identified_by: str) -> UUID:
    """Record a click with identifiers as the version before made them."""
    with tenant(made.organization.pk):
        (recorded,) = record_touchpoints(
            [
                NewTouchpoint(
                    organization_id=made.organization.pk,
                    app_id=made.app.pk,
                    partner_id=link.campaign.partner_id,
                    campaign_id=link.campaign_id,
                    link_id=link.pk,
                    kind="click",
                    source="link",
                    occurred_at=datetime.now(UTC) - timedelta(minutes=1),
                    identifiers=frozenset(identified_by),
                )
            ]
        )
    return recorded.id


def hashes(text: str) -> list[str]:
    return [
        f"{algorithm}:{hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()}"
        for algorithm in ("md5", "sha1")
    ]


@pytest.mark.parametrize("reported", SPELLINGS)
def test_an_install_finds_the_click_of_before_that_spells_its_id_otherwise(reported: str) -> None:
    hashed = [digest for form in SPELLINGS for digest in hashes(form)]
    expected = []
    for identifier in [f"advertising:{ID}", f"advertising:{ID.replace('-', '')}", *hashed]:
        gem = make_tenant()
        _, link = make_network(gem)
        expected.append((gem, click_with(gem, link, identifier)))
        record(gem, event("install", gaid=reported))

    work()

    for gem, click in expected:
        assert [install.touchpoint for install in installs_of(gem)] == [click]


def test_a_late_claim_reopens_the_install_of_before() -> None:
    for stored in SPELLINGS:
        gem = make_tenant()
        _, link = make_network(gem)
        former = FormerInstall.of(gem, "install_id", stored)
        later = datetime.now(UTC) + timedelta(hours=1)
        with database.as_role(roles.WORKER), tenant(gem.organization.pk):
            UnsettledInstall.objects.create(install=former.row, due_at=later, final_at=later)

        click_with(gem, link, f"install_id:{ID}")

        with database.as_role(roles.WORKER), tenant(gem.organization.pk):
            assert UnsettledInstall.objects.get().due_at < later


def test_more_devices_of_before_need_no_more_statements() -> None:
    def statements(devices: int) -> int:
        gem = make_tenant()
        make_tenant_rule(gem, triggers=["*"], frequency="first")
        ids = [f"{number:08d}-8CF0-11BD-B23E-10B96E40000D" for number in range(devices)]
        record(gem, *(event("open", install_id=id_, gaid=id_) for id_ in ids))
        with CaptureQueriesContext(connection) as queries:
            decide()
        return len(queries)

    statements(1)  # fills caches

    assert statements(12) == statements(1)
