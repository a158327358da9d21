"""The callback rules of the demo's game, Gem Harbor: what its marketers would really set up.

The path's first segment chooses how the stand-in ad network takes it (see moods). The waits before
another try are short, so that a day's refusals are over within seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_REQUIRED_MACRO = re.compile(r"\{\{([^{}]+)!\}\}")
_SHORT_WAITS = (1, 1, 2, 2, 3)


class DemoApp(StrEnum):
    """This is one of the game's two apps."""

    IOS = "ios"
    ANDROID = "android"


class Frequency(StrEnum):
    """This says how often a rule sends for the events of one device."""

    EVERY = "every"
    FIRST = "first"


class BodyType(StrEnum):
    """This says how the body is written."""

    NONE = "none"
    FORM = "form"
    JSON = "json"


class MissingValues(StrEnum):
    """This says what becomes of a parameter whose macro has no value."""

    EMPTY = "empty"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class DemoRule:
    """This is one callback rule: no app means both apps; the path is the stand-in's.

    Events outside of `countries` or below `least_level`, where they are given, are not sent.
    """

    name: str
    triggers: tuple[str, ...]
    path: str
    app: DemoApp | None = None
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


DEMO_RULES: tuple[DemoRule, ...] = (
    DemoRule(
        name="Install to Lumen Ads",
        triggers=("install",),
        path=(
            "/moody/install?advertising_id={{advertising_id}}&ip={{ip_address}}"
            "&app={{bundle_id}}&campaign={{campaign_id}}&event={{event_name}}"
            "&installed_at={{acquired_at_ms}}"
        ),
    ),
    DemoRule(
        name="Purchase to Lumen Ads",
        triggers=("purchase",),
        method="POST",
        path="/limited/purchase",
        headers={"Authorization": "Bearer {{credential.api_key}}"},
        body_type=BodyType.JSON,
        body=(
            '{"app": "{{bundle_id}}", "device": "{{advertising_id}}", '
            '"revenue": {{revenue}}, "currency": "{{currency}}", '
            '"revenue_usd": {{revenue_usd_gross}}, '
            '"product": "{{product_id}}", "transaction_id": "{{transaction_id}}"}'
        ),
    ),
    DemoRule(
        name="Welcome mail after the first registration",
        triggers=("registration",),
        frequency=Frequency.FIRST,
        method="POST",
        path="/slow/welcome",
        body_type=BodyType.FORM,
        body=(
            "user={{customer_user_id}}&nickname={{params.nickname}}"
            "&language={{language}}&country={{country|lower}}"
        ),
    ),
    DemoRule(
        name="Progress of Android players",
        app=DemoApp.ANDROID,
        triggers=("tutorial_complete", "level_up"),
        path="/flaky/progress?gaid={{gaid}}&event={{event_name}}&level={{params.level}}",
        missing_values=MissingValues.DROP,
    ),
    DemoRule(
        name="Installs and purchases with an IDFA",
        app=DemoApp.IOS,
        triggers=("install", "purchase"),
        path="/flaky/conversion?idfa={{idfa!}}&event={{event_name}}&revenue={{revenue}}",
        missing_values=MissingValues.DROP,
    ),
    DemoRule(
        name="Every event to the data warehouse",
        triggers=("*",),
        method="POST",
        path="/ok/events",
        sign=True,
        body_type=BodyType.JSON,
        body=(
            '{"id": "{{postback_id}}", "event_id": "{{event_id}}", "name": "{{event_name}}", '
            '"at": {{time_in_ms}}, "platform": "{{platform}}", "country": "{{country}}", '
            '"revenue": {{revenue}}, "level": {{params.level}}}'
        ),
    ),
    DemoRule(
        name="Keen players in Europe",
        triggers=("level_up",),
        path="/ok/keen?install={{install_id}}&level={{params.level}}&country={{country}}",
        countries=("DE", "FR", "GB"),
        least_level=3,
    ),
    DemoRule(
        name="Opens on iOS for re-engagement",
        app=DemoApp.IOS,
        triggers=("open",),
        path="/slow/open?device={{idfa||idfv}}&os={{os_version}}&at={{time_in_ms}}",
    ),
    DemoRule(
        name="New payers to the affiliate",
        triggers=("purchase",),
        frequency=Frequency.FIRST,
        method="POST",
        path="/picky/payer?transaction={{transaction_id}}",
        body_type=BodyType.JSON,
        body='{"app": "{{bundle_id}}", "revenue": {{revenue}}, "currency": "{{currency}}"}',
    ),
)
