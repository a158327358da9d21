"""A callback rule of the demo's game as plain data, which can be counted and declared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from postbacks.demo.networks import LUMEN, DemoApp, Network
from postbacks.values.rule_choices import BodyType, Frequency, MissingValues

_REQUIRED_MACRO = re.compile(r"\{\{([^{}]+)!\}\}")
_SHORT_WAITS = (1, 1, 2, 2, 3)


@dataclass(frozen=True, slots=True)
class DemoRule:
    """This is one callback rule: no app means both apps; the path is the stand-in's.

    Its partner is `network`; with `only_earned` it is for the installs that this network earned.
    Events outside of `countries` or below `least_level`, where they are given, are not sent.
    """

    name: str
    triggers: tuple[str, ...]
    path: str
    app: DemoApp | None = None
    network: Network = LUMEN
    only_earned: bool = False
    frequency: Frequency = Frequency.EVERY
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body_type: BodyType = BodyType.NONE
    body: str = ""
    missing_values: MissingValues = MissingValues.EMPTY
    retry_delays: tuple[int, ...] = _SHORT_WAITS
    countries: tuple[str, ...] = ()
    least_level: int = 0
    sign: bool = False

    @property
    def conditions(self) -> dict[str, object]:
        """The conditions as a rule keeps them."""
        lines: list[dict[str, object]] = []
        if self.countries:
            lines.append({"field": "country", "operator": "in", "value": list(self.countries)})
        if self.least_level:
            lines.append({"field": "params.level", "operator": "≥", "value": self.least_level})
        return {"all": lines}

    @property
    def required_macros(self) -> frozenset[str]:
        """The macros without which its postback is skipped."""
        templates = (self.path, self.body, *self.headers.values())
        return frozenset(name for text in templates for name in _REQUIRED_MACRO.findall(text))
