"""Every case of renderings.toml."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from postbacks.callbacks.currency.conversion import DayRates
from postbacks.callbacks.facts import Facts, sample_facts
from postbacks.callbacks.macros import BodyType, MissingValues, RequestTemplate, compile_request
from postbacks.callbacks.values import macro_values
from postbacks.values.outgoing_request import OutgoingRequest

TABLE = Path(__file__).with_name("renderings.toml")
RATES = DayRates({"EUR": Decimal("1.10"), "JPY": Decimal("0.0065"), "KWD": Decimal("3.25")})
URL = "https://ads.example.com/p"


def _body(sent: OutgoingRequest) -> str:
    return (sent.body or b"").decode()


def _post(body_type: BodyType, body: str) -> RequestTemplate:
    return RequestTemplate("POST", URL, {}, body_type, body)


Place = tuple[Callable[[str], RequestTemplate], Callable[[OutgoingRequest], str]]
POSITIONS: Mapping[str, Place] = {
    "path": (
        lambda text: RequestTemplate("GET", f"{URL}/{text}/q"),
        lambda sent: sent.url.removeprefix(f"{URL}/").removesuffix("/q"),
    ),
    "query": (
        lambda text: RequestTemplate("GET", f"{URL}?v={text}"),
        lambda sent: sent.url.removeprefix(f"{URL}?v="),
    ),
    "dropped": (
        lambda text: RequestTemplate("GET", f"{URL}?{text}", missing_values=MissingValues.DROP),
        lambda sent: sent.url.removeprefix(f"{URL}?"),
    ),
    "form": (
        lambda text: _post(BodyType.FORM, f"v={text}"),
        lambda sent: _body(sent).removeprefix("v="),
    ),
    "header": (
        lambda text: RequestTemplate("GET", URL, {"X-V": text}),
        lambda sent: sent.headers["X-V"],
    ),
    "text": (
        lambda text: _post(BodyType.JSON, '{"v": "' + text + '"}'),
        lambda sent: _body(sent).removeprefix('{"v":"').removesuffix('"}'),
    ),
    "value": (
        lambda text: _post(BodyType.JSON, '{"v": ' + text + "}"),
        lambda sent: _body(sent).removeprefix('{"v":').removesuffix("}"),
    ),
    "raw": (lambda text: _post(BodyType.RAW, text), _body),
}


def _cases() -> Iterator[object]:
    with TABLE.open("rb") as table:
        events = tomllib.load(table, parse_float=Decimal)["event"]
    for event in events:
        for number, (position, template, expected) in enumerate(event["cases"], start=1):
            name = f"{event['is']}, {number}: {position} {template}"
            yield pytest.param(event, position, template, expected, id=name)


def _facts(event: Mapping[str, Any]) -> Facts:
    sample = sample_facts()
    changed: dict[str, Any] = {
        name: event[name] for name in ("currency", "params", "event_time") if name in event
    }
    if "revenue" in event:
        changed["revenue"] = Decimal(event["revenue"])
    return replace(sample, event=replace(sample.event, **changed))


CASES = list(_cases())


@pytest.mark.parametrize(("event", "position", "template", "expected"), CASES)
def test_a_template_becomes_what_the_table_says(
    event: Mapping[str, Any], position: str, template: str, expected: str
) -> None:
    build, look = POSITIONS[position]
    request = compile_request(
        build(template), credential_names=["secret"], allowed_hosts=["ads.example.com"]
    )
    values = macro_values(
        _facts(event),
        rates=RATES,
        withhold_personal=event.get("withhold_personal", False),
        withhold_revenue=event.get("withhold_revenue", False),
    )

    sent = request.render(values, credentials={"secret": "k3y-of-lumen"}, rates=RATES).request

    assert look(sent) == expected


def test_the_table_is_long_enough_to_be_worth_its_name() -> None:
    assert len(CASES) >= 150
