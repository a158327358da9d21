"""A URL of ten macros: our renderer beside Jinja2, with the same values and the same result.

Jinja2 does as careful a writer would have it do: autoescape is on, since that is what keeps values
from becoming markup, and each value goes through `urlencode`, without which the URL would be wrong.
Both templates are compiled beforehand. Time is that of this thread's processor, which other
programs do not lengthen.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal

from jinja2 import Environment

from postbacks.callbacks.facts import sample_facts
from postbacks.callbacks.macros import RequestTemplate, Value, compile_request
from postbacks.callbacks.values import macro_values
from tests.bench.children import BenchError
from tests.bench.plan import Plan
from tests.bench.sums import AtLeast, Row, Spread

_MACROS = (
    "advertising_id",
    "ip_address",
    "bundle_id",
    "campaign_name",
    "event_name",
    "country",
    "os_version",
    "click_id",
    "time_in_ms",
    "revenue",
)
_JINJA, _OURS = "Jinja2", "Postbacks"
Render = Callable[[dict[str, Value]], str]
_BATCH = 500  # a few milliseconds, so that both sides meet the same moments


def measure(plan: Plan) -> Row:
    """Render by turns, batch after batch."""
    events = _events()
    ours = compile_request(RequestTemplate("GET", _url("{{%s}}")))
    theirs = Environment(autoescape=True).from_string(_url("{{%s|urlencode}}"))
    sides: dict[str, Render] = {
        _JINJA: theirs.render,
        _OURS: lambda values: ours.render(values).request.url,
    }
    if any(sides[_JINJA](event) != sides[_OURS](event) for event in events):
        raise BenchError("Jinja2 and Postbacks do not render the same URL.")
    rounds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(plan.rendering_batches):
        for side, render in sides.items():
            rounds[side].append(_BATCH / _seconds(render, events))
    return Row(
        name=f"Rendering a URL of {len(_MACROS)} macros from the same values",
        unit="URLs a second",
        figures={side: Spread(tuple(rates)) for side, rates in rounds.items()},
        compared_with=(_JINJA,),
        goals=(AtLeast(3, _OURS, _JINJA),),
        notes=(
            f"{plan.rendering_batches} interleaved batches of {_BATCH}; "
            "Jinja2 with autoescape and urlencode.",
        ),
    )


def _url(macro: str) -> str:
    query = "&".join(f"{name}={macro % name}" for name in _MACROS)
    return f"https://ads.example.com/postback?{query}"


def _events() -> list[dict[str, Value]]:
    """Return the values of purchases that differ in device, click, time and amount."""
    sample = macro_values(sample_facts())
    common = {name: sample[name] for name in _MACROS}
    return [
        {
            **common,
            "advertising_id": str(uuid.UUID(int=number * 7919 + 2**120)),
            "ip_address": f"203.0.113.{number % 250}",
            "campaign_name": f"Summer US {number % 10}",
            "click_id": f"c-{number:08x}",
            "time_in_ms": 1_768_414_961_387 + number * 1_009,
            "revenue": Decimal(number + 99) / 100,
        }
        for number in range(_BATCH)
    ]


def _seconds(render: Render, events: Sequence[dict[str, Value]]) -> float:
    began_at = time.thread_time()
    for values in events:
        render(values)
    return time.thread_time() - began_at
