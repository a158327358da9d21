"""From the facts of an event to the values of macros: a pure mapping, worked out on demand.

Most rules read ten macros out of more than a hundred, so each is computed when it is first asked
for, and once.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, TypeVar, cast, overload
from uuid import UUID

from postbacks.callbacks.facts import Facts, sample_facts
from postbacks.callbacks.macros.catalogue import CATALOGUE
from postbacks.callbacks.macros.sources import SOURCES
from postbacks.callbacks.macros.value import Rates, Value, number_of

# FOLDED from consent.py

_ATT_SAID_NO = {1, 2}  # restricted, denied
_US_OPT_OUT = 2  # IAB US Privacy string: version, notice, opt-out of sale, …


def consent_is_missing(fields: Mapping[str, object], *, partner: Collection[str]) -> bool:
    """Tell whether the event's privacy fields forbid sending personal data to this partner.

    `partner` holds whatever may name it: its name and its id.
    """
    return (
        fields.get("limit_ad_tracking") is True
        or fields.get("att_status") in _ATT_SAID_NO
        or _opted_out_of_sale(fields.get("us_privacy"))
        or _opted_out_of_sharing(fields.get("sharing_opt_out"), partner)
        or (
            (fields.get("eea") is True or fields.get("gdpr_applies") is True)
            and fields.get("ad_user_data") is not True
        )
    )


def _opted_out_of_sale(text: object) -> bool:
    return isinstance(text, str) and text[_US_OPT_OUT : _US_OPT_OUT + 1].upper() == "Y"


def _opted_out_of_sharing(partners: object, partner: Collection[str]) -> bool:
    if not isinstance(partners, list):
        return False
    names = {_plain(str(name)) for name in partners}
    return "all" in names or not names.isdisjoint(_plain(name) for name in partner)


def _plain(name: str) -> str:
    """Return a name as people mean it: Lumen Ads is lumen_ads and LumenAds."""
    return "".join(it for it in name.lower() if it.isalnum())


__all__ = ["MacroValues", "macro_values", "sample_facts"]

_Other = TypeVar("_Other")
_MAY_HOLD_ANYTHING: Final = frozenset(
    {"params", "event_params_json", "partner_params_json", "click"}
)
_PERSONAL: Final = _MAY_HOLD_ANYTHING | {it.name for it in CATALOGUE.values() if it.personal}
_MONEY: Final = frozenset(it.name for it in CATALOGUE.values() if it.money)


def macro_values(
    facts: Facts,
    *,
    withhold_personal: bool = False,
    withhold_revenue: bool = False,
    rates: Rates | None = None,
) -> Mapping[str, Value]:
    """This gives every macro of the catalogue that has a value.

    `withhold_personal` leaves out what identifies a person, and the event's own parameters, which
    may hold anything; `withhold_revenue` what tells money, also in parameters. Without rates there
    are no amounts in US dollars but those that were in US dollars.
    """
    withheld = (_PERSONAL if withhold_personal else frozenset()) | (
        _MONEY if withhold_revenue else frozenset()
    )
    return MacroValues(facts, withheld, rates)


def _without(params: Mapping[str, object], withheld: frozenset[str]) -> Mapping[str, object]:
    if "params" in withheld:
        return {}
    return _stripped(params, withheld) if withheld else params


def _stripped(container: Mapping[str, object], names: frozenset[str]) -> dict[str, object]:
    """This is the same without members of these names, at any depth and in any letter case."""
    return {
        name: _stripped_value(value, names)
        for name, value in container.items()
        if name.lower().rpartition(".")[2] not in names
    }


def _stripped_value(value: object, names: frozenset[str]) -> object:
    if isinstance(value, Mapping):
        return _stripped(value, names)
    if isinstance(value, list):
        return [_stripped_value(item, names) for item in value]
    return value


class MacroValues(Mapping[str, Value]):
    """This is a mapping of macro names to values; a macro without a value is not in it."""

    __slots__ = ("_known", "click", "facts", "params", "rates", "withheld")

    def __init__(self, facts: Facts, withheld: frozenset[str], rates: Rates | None) -> None:
        self.facts = facts
        self.rates = rates
        self.withheld = withheld
        self.params: Mapping[str, object] = _without(facts.event.params, withheld)
        self.click = _without(facts.attribution.click, withheld)
        self._known: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    @overload
    def get(self, name: str, /) -> Value: ...

    @overload
    def get(self, name: str, default: Value, /) -> Value: ...

    @overload
    def get(self, name: str, default: _Other, /) -> Value | _Other: ...

    def get(self, name: str, default: object = None, /) -> object:
        """This is the value of a macro, or the default if it has none."""
        known = self._known
        if name not in known:
            source = SOURCES.get(name)
            known[name] = None if source is None or name in self.withheld else _value(source(self))
        value = known[name]
        return default if value is None else value

    def __iter__(self) -> Iterator[str]:
        return (name for name in CATALOGUE if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def field(self, name: str) -> object:
        """This is a field of the event, or else the parameter of that name."""
        found = self.facts.event.fields.get(name)
        return self.params.get(name) if found is None or found == "" else found


def _value(value: object) -> Value:
    if value is None or value == "":
        return None
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, float):
        return number_of(value)
    return cast("Value", value)
