"""⑤ The values of macros from an event's facts, and whether its person consented.

A rule reads about ten of two hundred macros, so each is computed on its first use, and once.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, TypeVar, cast, overload
from uuid import UUID

from postbacks.callbacks.facts import Facts
from postbacks.callbacks.macros.catalogue import CATALOGUE
from postbacks.callbacks.macros.sources import SOURCES
from postbacks.callbacks.macros.value import Rates, Value, number_of

_Other = TypeVar("_Other")
_MAY_HOLD_ANYTHING: Final = frozenset(
    {"params", "event_params_json", "partner_params_json", "click"}
)
_PERSONAL: Final = _MAY_HOLD_ANYTHING | {
    macro.name for macro in CATALOGUE.values() if macro.personal
}
_MONEY: Final = frozenset(macro.name for macro in CATALOGUE.values() if macro.money)

_WITHHELD: Final = {
    (False, False): frozenset[str](),
    (False, True): _MONEY,
    (True, False): _PERSONAL,
    (True, True): _PERSONAL | _MONEY,
}

_ATT_REFUSED: Final[Mapping[object, str]] = {1: "restricted", 2: "denied"}
_US_OPT_OUT = 2  # IAB US Privacy string: version, notice, opt-out of sale, …


def macro_values(
    facts: Facts,
    *,
    withhold_personal: bool = False,
    withhold_revenue: bool = False,
    rates: Rates | None = None,
) -> Mapping[str, Value]:
    """Return the macros of the catalogue that have a value.

    `withhold_personal` leaves out values that identify a person, and the event's own parameters,
    which may hold anything; `withhold_revenue` leaves out money, also in parameters. Without rates
    only amounts that were in US dollars have a value in US dollars.
    """
    return MacroValues(facts, _WITHHELD[withhold_personal, withhold_revenue], rates)


def consent_is_missing(fields: Mapping[str, object], *, partner: Collection[str]) -> bool:
    """Tell whether the event's privacy fields forbid sending personal data to this partner.

    `partner` holds the partner's name and id, either of which may name it.
    """
    for names, is_refused, _ in _REFUSALS:
        for name in names:
            if name in fields and is_refused(fields, partner):
                return True
    return False


def consent_evidence(fields: Mapping[str, object], *, partner: Collection[str]) -> str:
    """Return which field of an event forbids sharing, and its value; "" if none does."""
    for _, is_refused, explain in _REFUSALS:
        if is_refused(fields, partner):
            return explain(fields)
    return ""


class MacroValues(Mapping[str, Value]):
    """Maps macros' names to values; a macro without a value is not in it."""

    __slots__ = ("_cache", "click", "facts", "params", "rates", "withheld")

    def __init__(self, facts: Facts, withheld: frozenset[str], rates: Rates | None) -> None:
        self.facts = facts
        self.rates = rates
        self.withheld = withheld
        self.params: Mapping[str, object] = facts.event.params
        self.click: Mapping[str, object] = facts.attribution.click
        if withheld:
            self.params, self.click = (
                _without(self.params, withheld),
                _without(self.click, withheld),
            )
        self._cache: dict[str, Value] = {}

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
        cache = self._cache
        if name in cache:
            value = cache[name]
        else:
            source = SOURCES.get(name)
            value = None
            if source is not None and name not in self.withheld:
                computed = source(self)
                # Most are texts, which are values already.
                value = computed if type(computed) is str and computed else _value(computed)
            cache[name] = value
        return default if value is None else value

    def __iter__(self) -> Iterator[str]:
        return (name for name in CATALOGUE if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def field(self, name: str) -> object:
        """Return a field of the event, or else the parameter of that name."""
        value = self.facts.event.fields.get(name)
        return self.params.get(name) if value is None or value == "" else value


def _without(params: Mapping[str, object], withheld: frozenset[str]) -> Mapping[str, object]:
    if "params" in withheld:
        return {}
    return _stripped(params, withheld)


def _stripped(container: Mapping[str, object], names: frozenset[str]) -> dict[str, object]:
    """Return a copy without members of these names, at any depth and in any letter case."""
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


def _value(value: object) -> Value:
    if value is None or value == "":
        return None
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, float):
        return number_of(value)
    return cast("Value", value)


def _limits_tracking(fields: Mapping[str, object], partner: Collection[str]) -> bool:
    return fields.get("limit_ad_tracking") is True


def _refused_tracking(fields: Mapping[str, object], partner: Collection[str]) -> bool:
    return fields.get("att_status") in _ATT_REFUSED


def _opted_out_of_sale(fields: Mapping[str, object], partner: Collection[str]) -> bool:
    text = fields.get("us_privacy")
    return isinstance(text, str) and text[_US_OPT_OUT : _US_OPT_OUT + 1].upper() == "Y"


def _opted_out_of_sharing(fields: Mapping[str, object], partner: Collection[str]) -> bool:
    partners = fields.get("sharing_opt_out")
    if not isinstance(partners, list):
        return False
    names = {_plain(str(name)) for name in partners}
    return "all" in names or not names.isdisjoint(_plain(name) for name in partner)


def _is_european_without_consent(fields: Mapping[str, object], partner: Collection[str]) -> bool:
    is_european = fields.get("eea") is True or fields.get("gdpr_applies") is True
    return is_european and fields.get("ad_user_data") is not True


def _explain_att(fields: Mapping[str, object]) -> str:
    status = fields.get("att_status")
    return f"att_status is {status}, {_ATT_REFUSED.get(status, '')}"


def _explain_sharing(fields: Mapping[str, object]) -> str:
    partners = fields.get("sharing_opt_out")
    names = {_plain(str(name)) for name in partners} if isinstance(partners, list) else set()
    return f"sharing_opt_out names {'all partners' if 'all' in names else 'this partner'}"


def _explain_european(fields: Mapping[str, object]) -> str:
    name = "eea" if fields.get("eea") is True else "gdpr_applies"
    return f"{name} is true without ad_user_data"


def _plain(name: str) -> str:
    """Return a name as people mean it: Lumen Ads is lumen_ads and LumenAds."""
    return "".join(char for char in name.lower() if char.isalnum())


# The fields without which there is no refusal, whether an event's fields refuse a partner, and the
# words for it. Plain tuples: these run for each rule and event.
_REFUSALS: Final[
    tuple[
        tuple[
            tuple[str, ...],
            Callable[[Mapping[str, object], Collection[str]], bool],
            Callable[[Mapping[str, object]], str],
        ],
        ...,
    ]
] = (
    (("limit_ad_tracking",), _limits_tracking, lambda fields: "limit_ad_tracking is true"),
    (("att_status",), _refused_tracking, _explain_att),
    (
        ("us_privacy",),
        _opted_out_of_sale,
        lambda fields: f"us_privacy is {fields['us_privacy']}, opted out of sale",
    ),
    (("sharing_opt_out",), _opted_out_of_sharing, _explain_sharing),
    (("eea", "gdpr_applies"), _is_european_without_consent, _explain_european),
)
