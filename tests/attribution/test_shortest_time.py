"""The shortest time from click to first open: a setting, and what its refusal says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import make
from tests.api.calling import Program, owner_of, report
from tests.touches import GAID, make_network
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)


def _install_after(gem: make.Tenant, seconds: float) -> dict[str, Any]:
    """Click, install so many seconds later, and return the install as the API has it."""
    _, link = make_network(gem)
    opened = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    clicked = opened - timedelta(seconds=seconds)
    click = {"link": link.token, "occurred_at": clicked.isoformat(), "gaid": GAID}
    assert Program(gem.sdk_key).post("touchpoints", click).status == 202
    report(gem.sdk_key, event_name="install", event_time=opened.isoformat(), gaid=GAID)
    work()
    row: dict[str, Any] = owner_of(gem).rows("installs")[0]
    return row


@pytest.mark.parametrize(
    ("floor", "seconds", "figures"),
    [
        (None, 1, (1, 2)),  # nothing set: two seconds, which no device undercuts
        (None, 1.9, (1.9, 2)),
        (None, 2, None),
        (None, 3, None),
        (0, 0, None),
        (0, 1, None),
        (1, 0.5, (0.5, 1)),
        (1, 1, None),
        (30, 29, (29, 30)),
        (30, 30, None),
        (60, 58, (58, 60)),
        (60, 61, None),
    ],
)
def test_the_floor_is_the_one_that_is_set_and_a_refusal_names_it(
    floor: int | None, seconds: float, figures: tuple[float, float] | None
) -> None:
    gem = make.make_tenant()
    if floor is not None:
        settings = {"app": str(gem.app.public_id), "least_seconds_to_install": floor}
        assert owner_of(gem).post("attribution-settings", settings).status == 201

    install = _install_after(gem, seconds)

    (candidate,) = install["candidates"]
    if figures is None:
        assert (candidate["reason"], install["rejections"]) == ("won", [])
        return
    (rejection,) = install["rejections"]
    measured, limit = figures
    assert candidate["reason"] == "rejected:engagement_injection"
    assert (rejection["measured"], rejection["limit"]) == (pytest.approx(measured), limit)
    expected = f"The click came {measured:g} s before the first open, at least {limit} s is"
    assert expected in rejection["sentence"]


def test_without_a_setting_of_the_app_the_organization_s_holds() -> None:
    gem = make.make_tenant()
    owner_of(gem).post("attribution-settings", {"least_seconds_to_install": 20})

    (rejection,) = _install_after(gem, 10)["rejections"]

    assert rejection["limit"] == 20


@pytest.mark.parametrize("floor", [-1, 61, 1.5, "soon"])
def test_a_floor_that_is_none_is_refused_by_its_name(floor: object) -> None:
    answer = owner_of(make.make_tenant()).post(
        "attribution-settings", {"least_seconds_to_install": floor}
    )

    assert answer.status == 400
    assert answer.pointers() == ["/least_seconds_to_install"]
