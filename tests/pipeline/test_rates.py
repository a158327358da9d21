"""Exchange rates on an event's way: what was known when it was decided counts, and stays."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection

from apps_registry.tenancy import tenant
from postbacks.callbacks.currency import stored_rates
from postbacks.callbacks.currency.ecb import DayOfRates
from postbacks.infrastructure.database import roles
from postbacks.models import ExchangeRate, PostbackStatus
from postbacks.rulebook.resending import NotResendableError, resend
from tests import database
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_pump import all_ended
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_rates_of_other_tests() -> Iterator[None]:
    stored_rates.refresh_rates()
    yield
    stored_rates.refresh_rates()


def _today() -> date:
    """Return the day; read at import, it would be yesterday in a run over midnight."""
    return datetime.now(UTC).date()


def euros_are_worth(usd: str, *, days_ago: int = 0, known_after: float = 0) -> None:
    day = DayOfRates(_today() - timedelta(days=days_ago), {"EUR": Decimal(usd)})
    with database.as_role(roles.WORKER):
        stored_rates.store_rates([day], known_after=known_after)


def url_with_dollars(partner: RecordingPartner) -> str:
    return partner.url + "/p?usd={{revenue_usd_gross}}&net={{revenue_usd_net}}"


def paths(partner: RecordingPartner) -> list[str]:
    return [path for _method, path, *_ in partner.requests]


def purchase(**fields: object) -> dict[str, object]:
    return event(**{"revenue": "9.99", "currency": "EUR", **fields})


def test_revenue_reaches_the_partner_in_dollars_of_the_day(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    euros_are_worth("1.10", days_ago=1)
    gem = make_tenant()
    make_tenant_rule(gem, url=url_with_dollars(ok_partner))
    record(gem, purchase())

    run_pump(until=all_ended(gem))

    assert paths(ok_partner) == ["/p?usd=10.99&net=7.693"]


def test_what_was_skipped_for_want_of_a_rate_is_decided_again_with_the_rate_of_now(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url + "/p?usd={{revenue_usd_gross!}}")
    record(gem, purchase())
    decide()
    assert postbacks_of(gem)[0].reason == "missing_macro"
    with tenant(gem.organization.pk), pytest.raises(NotResendableError, match="no value"):
        resend(postbacks_of(gem)[0])

    euros_are_worth("1.10")
    stored_rates.refresh_rates()
    with tenant(gem.organization.pk):
        resend(postbacks_of(gem)[0])
    run_pump(until=all_ended(gem))

    assert paths(ok_partner) == ["/p?usd=10.99"]


def test_a_rate_that_is_loaded_later_does_not_change_a_retried_postback(
    partner_answering: Callable[[Answer], RecordingPartner], run_pump: Run
) -> None:
    euros_are_worth("1.10", days_ago=1)
    gem = make_tenant()

    def answer(_path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return (200 if partner.requests else 503), {}, b""

    partner = partner_answering(answer)
    make_tenant_rule(gem, url=url_with_dollars(partner), retry_delays=[1])
    record(gem, purchase())
    run_pump(until=lambda: len(attempts_of(gem)) == 1)
    euros_are_worth("1.20")

    run_pump(until=all_ended(gem))

    assert paths(partner) == ["/p?usd=10.99&net=7.693"] * 2
    assert "differs" not in attempts_of(gem)[1].detail


def test_money_without_a_rate_is_left_empty_and_stays_so(
    partner_answering: Callable[[Answer], RecordingPartner], run_pump: Run
) -> None:
    gem = make_tenant()

    def answer(_path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return (200 if partner.requests else 503), {}, b""

    partner = partner_answering(answer)
    make_tenant_rule(gem, url=url_with_dollars(partner), retry_delays=[1])
    record(gem, purchase())
    run_pump(until=lambda: len(attempts_of(gem)) == 1)
    euros_are_worth("1.20")

    run_pump(until=all_ended(gem))

    assert paths(partner) == ["/p?usd=&net="] * 2


def test_required_dollars_without_a_rate_skip_the_postback() -> None:
    euros_are_worth("1.10", days_ago=8)
    gem = make_tenant()
    make_tenant_rule(gem, url="https://ads.example.com/p?usd={{revenue_usd_gross!}}")
    make_tenant_rule(gem, url='https://ads.example.com/p?gbp={{revenue|convert:"GBP"!}}')
    record(gem, purchase())

    decide()

    assert [postback.reason for postback in postbacks_of(gem)] == ["missing_macro"] * 2


def test_required_dollars_with_a_rate_are_owed() -> None:
    euros_are_worth("1.10", days_ago=7)
    gem = make_tenant()
    make_tenant_rule(gem, url="https://ads.example.com/p?usd={{revenue_usd_gross!}}")
    record(gem, purchase())

    decide()

    assert [postback.status for postback in postbacks_of(gem)] == [PostbackStatus.PENDING]


def test_rates_count_once_every_process_has_had_to_see_them() -> None:
    euros_are_worth("1.10", known_after=stored_rates.KNOWN_AFTER_SECONDS)

    now = datetime.now(UTC)
    rates = stored_rates.load_rates([now])

    assert stored_rates.KNOWN_AFTER_SECONDS > 2 * stored_rates.REFRESH_SECONDS
    assert rates.of(now, known_at=now).usd == {}
    assert rates.of(now, known_at=now + timedelta(seconds=61)).usd == {"EUR": Decimal("1.10")}


def test_a_file_of_the_bank_is_loaded_once(tmp_path: Path) -> None:
    file = tmp_path / "eurofxref-hist.csv"
    file.write_text("Date,USD,JPY,\n2024-04-26,1.0714,168.03,\n2024-04-25,1.072,166.76,\n")
    output = StringIO()

    with database.as_role(roles.WORKER):
        call_command("load_rates", str(file), stdout=output)
        call_command("load_rates", str(file), stdout=output)

    assert output.getvalue().splitlines() == [
        "4 new rates of 2 days; the newest day is 2024-04-26.",
        "0 new rates of 2 days; the newest day is 2024-04-26.",
    ]
    assert ExchangeRate.objects.get(currency="EUR", day="2024-04-26").usd == Decimal("1.0714")


def test_a_demonstration_takes_one_day_for_many(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("Date,USD,\n2024-04-26,1.0714,\n2024-04-25,1.072,\n")

    with database.as_role(roles.WORKER):
        call_command("load_rates", str(file), "--repeat=3", stdout=StringIO())

    assert set(ExchangeRate.objects.values_list("day", "usd")) == {
        (_today() - timedelta(days=back), Decimal("1.0714")) for back in range(3)
    }


def test_a_wrong_file_loads_nothing_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("Date,USD,\n2024-04-26,1.0714,\n2024-04-25,much,\n")

    with pytest.raises(CommandError, match="“much” is not a rate"):
        call_command("load_rates", str(file))
    with pytest.raises(CommandError, match="can't be read: No such file"):
        call_command("load_rates", str(tmp_path / "none.csv"))

    assert not ExchangeRate.objects.exists()


def test_people_s_requests_may_read_rates_and_change_none() -> None:
    euros_are_worth("1.10")

    with connection.cursor() as cursor, pytest.raises(ProgrammingError) as refused:
        cursor.execute("UPDATE exchange_rate SET usd = 2")

    assert isinstance(refused.value.__cause__, psycopg.errors.InsufficientPrivilege)
    assert ExchangeRate.objects.get().usd == Decimal("1.10")
