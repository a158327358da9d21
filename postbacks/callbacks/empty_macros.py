"""Why the macros of a request have no value, for people: one reason for each name.

What a macro is made of stands in `macros.sources`; this asks the same values with and without what
a rule withholds, and names what is missing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Final

from postbacks.callbacks.facts import Facts
from postbacks.callbacks.macros import CATALOGUE, CompiledRequest, MacroType, Rates, Value
from postbacks.callbacks.macros.catalogue import MacroGroup, in_us_dollars
from postbacks.callbacks.macros.compiled import AnyCredential
from postbacks.callbacks.macros.expressions import Expression
from postbacks.callbacks.macros.filters import CONVERT
from postbacks.callbacks.macros.names import OPEN_NAMES, Source
from postbacks.callbacks.macros.value import RenderScope, number_of, present, text_of
from postbacks.callbacks.values import macro_values
from postbacks.values.attribution import ORGANIC
from postbacks.values.identifiers import ADVERTISING_IDS, LEFT_OUT_IDS, advertising_ids_on
from postbacks.values.placeholders import is_placeholder, why_no_id

_LONGEST_SHOWN: Final = 80


class EmptyCause(StrEnum):
    """Why a macro has no value."""

    NOT_IN_EVENT = "not_in_event"
    NOT_IN_CLICK = "not_in_click"
    NOT_IN_APP = "not_in_app"
    NOT_OF_THIS_EVENT = "not_of_this_event"
    NO_CONSENT = "no_consent"
    REVENUE_NOT_SENT = "revenue_not_sent"
    NO_CLICK = "no_click"
    NO_IMPRESSION = "no_impression"
    NO_INSTALL = "no_install"
    NO_RATE = "no_rate"
    NO_FORM = "no_form"
    NO_ID = "no_id"
    UNKNOWN_TO_PLATFORM = "unknown_to_platform"


@dataclass(frozen=True, slots=True)
class EmptyMacro:
    """A macro without a value; `code` is stable, `reason` goes on after a colon."""

    macro: str
    code: EmptyCause
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.reason[:1].upper()}{self.reason[1:]}"

    @property
    def detail(self) -> str:
        """Return the reason in a sentence that names the macro."""
        return f"{{{{{self.macro}}}}} has no value: {self.reason}"


def empty_macros(
    request: CompiledRequest,
    facts: Facts,
    *,
    rates: Rates | None,
    consent_refusal: str = "",
    sends_revenue: bool = True,
) -> tuple[EmptyMacro, ...]:
    """Return each macro of a request that has no value, and why, in the request's order.

    `consent_refusal` is the evidence by which personal data is withheld, "" if it is sent. Macros
    with a credential are left out: even its absence would reveal something.
    """
    search = _Search(
        facts=facts,
        rates=rates,
        consent_refusal=consent_refusal,
        sent=macro_values(
            facts,
            withhold_personal=bool(consent_refusal),
            withhold_revenue=not sends_revenue,
            rates=rates,
        ),
        impersonal=macro_values(facts, withhold_personal=bool(consent_refusal), rates=rates),
        everything=macro_values(facts, rates=rates),
    )
    scope = search.scope(search.sent)
    empty: dict[str, EmptyMacro] = {}
    for expression in request.expressions:
        if expression.is_openly_absent(scope):
            for macro in search.causes(expression):
                empty.setdefault(macro.macro, macro)
    return tuple(empty.values())


_Cause = tuple[EmptyCause, str]

# Names that only one kind of event has, by their beginning.
_OF_EVENTS: Final[Mapping[str, str]] = {
    "previous_": "attribution_updated",
    "reject": "rejected_install",
    "is_rejected": "rejected_install",
    "skan_": "skan_postback",
    "uninstalled_time": "uninstall",
}
_RETURNS: Final[Mapping[str, str]] = {
    "reattributed_time": "through an ad",
    "reattributed_at": "through an ad",
    "reinstalled_time": "without an ad",
    "reinstalled_at": "without an ad",
}
_OF_INSTALL: Final = frozenset({"acquired_at", "acquired_at_ms", "install_time"})
_OF_TOUCHPOINT: Final = frozenset(
    {
        *("engaged_at", "engaged_at_ms", "engagement_time", "click_time", "impression_time"),
        *("payout", "payout_pct"),
    }
)
_OF_APP: Final = frozenset({"app_name", "store_id"})
_ADVERTISING_IDS: Final = tuple(dict.fromkeys(("advertising_id", *ADVERTISING_IDS)))
# Names that stand for another field of the event.
_FIELDS: Final[Mapping[str, str]] = {
    "ip_anonymized": "ip_address",
    "fire_adid": "amazon_id",
    "referrer": "install_referrer",
    "mmp_device_id": "install_id",
    "device": "device_model",
    "limit_ad_tracking_integer": "limit_ad_tracking",
    "consent_ad_user_data": "ad_user_data",
    "consent_ad_personalization": "ad_personalization",
    "partner_params_json": "parameter partner_params",
    "event_params_json": "parameters of its own",
    "params": "parameters of its own",
    "value": "revenue",
    "event_value": "revenue",
}
_PLATFORMS: Final[Mapping[str, str]] = {"ios": "iOS", "tv": "TV", "web": "the web"}
_KINDS: Final[Mapping[MacroType, str]] = {MacroType.TIME: "time", MacroType.DECIMAL: "number"}


@dataclass(frozen=True, slots=True)
class _Search:
    """One event's values: as they are sent, without personal data only, and all of them."""

    facts: Facts
    rates: Rates | None
    consent_refusal: str
    sent: Mapping[str, Value]
    impersonal: Mapping[str, Value]
    everything: Mapping[str, Value]

    def scope(self, values: Mapping[str, Value]) -> RenderScope:
        return RenderScope(values, AnyCredential(), self.rates)

    def causes(self, expression: Expression) -> Iterator[EmptyMacro]:
        """Yield why each source of an expression has no value; a filter ends the chain."""
        for source in expression.sources:
            if not source.name:
                continue
            value = _value(source, self.scope(self.sent))
            cause, words = (
                self._of_source(source) if value is None else self._of_filter(expression, value)
            )
            reason = f"{words}.{self._removed_anyway(source.name, cause)}"
            yield EmptyMacro(source.name, cause, reason)
            if value is not None:
                return

    def _of_source(self, source: Source) -> _Cause:
        if _value(source, self.scope(self.everything)) is None:
            return self._of_absence(source.name)
        if self.consent_refusal and _value(source, self.scope(self.impersonal)) is None:
            return EmptyCause.NO_CONSENT, (
                f"it was removed, since the person did not consent ({self.consent_refusal})"
            )
        return EmptyCause.REVENUE_NOT_SENT, "the rule does not send revenue"

    def _removed_anyway(self, name: str, cause: EmptyCause) -> str:
        is_personal = name in CATALOGUE and CATALOGUE[name].personal
        if not (is_personal and self.consent_refusal and cause is EmptyCause.NOT_IN_EVENT):
            return ""
        return (
            " It would have been removed, since the person did not consent "
            f"({self.consent_refusal})."
        )

    def _of_filter(self, expression: Expression, value: object) -> _Cause:
        used = expression.losing_filter(self.scope(self.sent))
        if used.partition(":")[0] == CONVERT and number_of(value) is not None:
            if not self.facts.event.currency:
                return EmptyCause.NOT_IN_EVENT, "the event has no currency"
            return EmptyCause.NO_RATE, f"{self._no_rate()}, which {used} takes"
        shown = text_of(value)[:_LONGEST_SHOWN]
        if not used:
            return EmptyCause.NO_FORM, f"its value {shown} has no such form"
        return EmptyCause.NO_FORM, f"the filter {used} has nothing for {shown}"

    def _of_absence(self, name: str) -> _Cause:
        """Return why an event has no value of this name at all."""
        root, dot, path = name.partition(".")
        if dot and root in OPEN_NAMES:
            if root == "click":
                return self._of_credit(f"parameter {path}")
            return EmptyCause.NOT_IN_EVENT, f"the event has no parameter {path}"
        if left_out := self._of_left_out_id(name):
            return left_out
        macro = CATALOGUE[name]
        platform = self.facts.event.platform or self.facts.app.platform
        if macro.platforms and platform and platform not in macro.platforms:
            owners = _listed(macro.platforms)
            words = f"it is unknown to {_named(platform)}: only {owners} devices have it"
            return EmptyCause.UNKNOWN_TO_PLATFORM, words
        return (
            self._of_another_event(name)
            or self._of_unreadable_field(name)
            or self._of_group(name, macro.group)
        )

    def _fields_of(self, name: str) -> tuple[str, ...]:
        """Return the event's fields that a macro is made of."""
        if name == "advertising_id":
            return _ADVERTISING_IDS
        platform = self.facts.event.platform or self.facts.app.platform
        if name == advertising_ids_on(platform)[0]:
            return (name, "advertising_id")
        return (_FIELDS.get(name, name),)

    def _of_another_event(self, name: str) -> _Cause | None:
        if name in _RETURNS:
            words = f"the device has not come back {_RETURNS[name]}"
            return EmptyCause.NOT_OF_THIS_EVENT, words
        event_name = next((e for start, e in _OF_EVENTS.items() if name.startswith(start)), None)
        if event_name is None or event_name == self.facts.event.event_name:
            return None
        return EmptyCause.NOT_OF_THIS_EVENT, f"only events named {event_name} have it"

    def _of_left_out_id(self, name: str) -> _Cause | None:
        """Return what intake left out: the app sent it, whatever its platform should know."""
        left_out = self.facts.event.fields.get(LEFT_OUT_IDS)
        if not isinstance(left_out, Mapping):
            return None
        for field in self._fields_of(name):
            if field in left_out and (why := why_no_id(str(left_out[field]))):
                return EmptyCause.NO_ID, f"the event's {field} is no ID: {why.rstrip('.')}"
        return None

    def _of_unreadable_field(self, name: str) -> _Cause | None:
        for field in self._fields_of(name):
            value = self.facts.event.fields.get(field) or self.facts.event.params.get(field)
            if not value:
                continue
            if isinstance(value, str) and is_placeholder(value):
                why = why_no_id(value).rstrip(".")
                return EmptyCause.NO_ID, f"the event's {field} is no ID: {why}"
            kind = _KINDS.get(CATALOGUE[name].type, "value that can be sent")
            return EmptyCause.NO_FORM, f"the event's {field} is not a {kind}"
        return None

    def _of_group(self, name: str, group: MacroGroup) -> _Cause:
        if name in _OF_INSTALL:
            return EmptyCause.NO_INSTALL, "no install of this device is known"
        if name in _OF_TOUCHPOINT or (
            group is MacroGroup.ATTRIBUTION and not name.startswith("contributor")
        ):
            return self._of_credit("parameters" if name == "click" else name)
        if in_us_dollars(name):
            return self._of_dollars()
        if name in _OF_APP:
            return EmptyCause.NOT_IN_APP, f"the app has no {name}"
        if name == "country":
            return EmptyCause.NOT_IN_EVENT, "the event has no country, and its IP address gave none"
        return EmptyCause.NOT_IN_EVENT, f"the event has no {_FIELDS.get(name, name)}"

    def _of_credit(self, name: str) -> _Cause:
        earned_by = self.facts.attribution.type
        if earned_by == ORGANIC:
            if self.facts.install is None:
                return EmptyCause.NO_CLICK, "no install of this device is known, and so no click"
            return EmptyCause.NO_CLICK, "the install is organic: no click earned it"
        if name == "click_time":
            return EmptyCause.NO_CLICK, "an impression earned the install, not a click"
        if name == "impression_time":
            return EmptyCause.NO_IMPRESSION, "a click earned the install, not an impression"
        words = f"the {earned_by} that earned the install has no {name}"
        return EmptyCause.NOT_IN_CLICK, words

    def _of_dollars(self) -> _Cause:
        if self.facts.event.revenue is None:
            return EmptyCause.NOT_IN_EVENT, "the event has no revenue"
        if not self.facts.event.currency:
            return EmptyCause.NOT_IN_EVENT, "the event has revenue, but no currency"
        return EmptyCause.NO_RATE, self._no_rate()

    def _no_rate(self) -> str:
        day = self.facts.event.event_time.astimezone(UTC)
        return (
            f"no exchange rate of {self.facts.event.currency} is known from the 7 days up to "
            f"{day:%b} {day.day}, {day.year}"
        )


def _value(source: Source, scope: RenderScope) -> object | None:
    try:
        return present(source.read(scope))
    except (ArithmeticError, ValueError):
        return None


def _named(platform: str) -> str:
    """Return a platform as its makers write it."""
    return _PLATFORMS.get(platform, platform.capitalize())


def _listed(names: tuple[str, ...]) -> str:
    *others, last = map(_named, names)
    return f"{', '.join(others)} and {last}" if others else last
