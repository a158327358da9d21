"""Who calls too fast is told when to come back; known keys and other people go on."""

import pytest

from apps_registry.models import SdkKey
from postbacks.infrastructure.rate_limits.counting import RateLimit
from tests import make
from tests.api.calling import PROBLEM, Answer, Program, owner_of

pytestmark = pytest.mark.django_db(transaction=True)

FEW = RateLimit(3, 10)


def report_from(key: str, address: str) -> Answer:
    program = Program(key)
    program.client.defaults["REMOTE_ADDR"] = address
    return program.post("events", {"event_name": "open", "install_id": "a"})


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def assert_too_fast(answer: Answer, what: str) -> None:
    assert (answer.status, answer.content_type) == (429, PROBLEM)
    assert 1 <= int(answer.headers["Retry-After"]) <= 20
    assert answer.data["detail"].startswith(what)


def test_an_app_key_is_held_for_each_address(settings) -> None:
    settings.RATE_LIMIT_SDK_APP = FEW
    tenant = make.make_tenant(key_kind=SdkKey.Kind.APP)

    one = [report_from(tenant.sdk_key, "203.0.113.7") for _ in range(4)]
    other = report_from(tenant.sdk_key, "203.0.113.8")

    assert statuses(one) == [202, 202, 202, 429]
    assert_too_fast(one[-1], "This SDK key reports too much")
    assert other.status == 202


def test_an_ipv6_caller_is_held_by_the_network_from_which_it_takes_addresses(settings) -> None:
    settings.RATE_LIMIT_SDK_APP = FEW
    tenant = make.make_tenant(key_kind=SdkKey.Kind.APP)

    one = [report_from(tenant.sdk_key, f"2001:db8::{number}") for number in range(1, 5)]

    assert statuses(one) == [202, 202, 202, 429]


def test_a_server_key_is_held_by_its_events(settings) -> None:
    settings.RATE_LIMIT_SDK_SERVER = FEW
    program = Program(make.make_tenant().sdk_key)

    batch = program.post("events", [{"event_name": "open", "install_id": "a"}] * 3)
    next_one = program.post("events", {"event_name": "open", "install_id": "a"})

    assert batch.data["accepted"] == 3
    assert_too_fast(next_one, "This SDK key reports too much")


def test_nothing_is_stored_of_what_came_too_fast(settings) -> None:
    settings.RATE_LIMIT_SDK_SERVER = FEW
    tenant = make.make_tenant()

    answers = [report_from(tenant.sdk_key, "203.0.113.7") for _ in range(5)]

    assert statuses(answers) == [202, 202, 202, 429, 429]
    assert len(owner_of(tenant).rows("events")) == 3


def test_each_api_token_is_held_by_itself(settings) -> None:
    settings.RATE_LIMIT_API = FEW
    tenant, other = make.make_tenant(), make.make_tenant()
    api = owner_of(tenant)

    answers = [api.get("apps") for _ in range(4)]

    assert statuses(answers) == [200, 200, 200, 429]
    assert_too_fast(answers[-1], "This API token calls too often")
    assert owner_of(other).get("apps").status == 200


def test_who_guesses_keys_is_told_to_stop_and_known_keys_go_on(settings) -> None:
    settings.RATE_LIMIT_UNKNOWN = RateLimit(3, 3600)
    tenant = make.make_tenant()
    guesses = [f"pb{kind}_guess{n}" for n, kind in enumerate("tktk")]
    address = "198.51.100.77"

    answers = [report_from(guess, address) for guess in guesses if guess.startswith("pbk")]
    programs = [Program(guess) for guess in guesses if guess.startswith("pbt")]
    for program in programs:
        program.client.defaults["REMOTE_ADDR"] = address
    answers += [program.get("apps") for program in programs]

    assert statuses(answers) == [401, 401, 401, 429]
    assert report_from(tenant.sdk_key, address).status == 202


def test_no_rate_is_no_limit(settings) -> None:
    settings.RATE_LIMIT_API = None
    api = owner_of(make.make_tenant())

    assert {api.get("apps").status for _ in range(20)} == {200}


def test_every_address_is_described_with_429() -> None:
    paths = owner_of(make.make_tenant()).client.get("/api/schema/").json()["paths"]

    assert all(
        "429" in operation["responses"] for path in paths.values() for operation in path.values()
    )
