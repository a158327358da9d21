"""One macro of a template, compiled: where its value comes from and what happens to it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros import filters
from postbacks.callbacks.macros.arguments import ArgumentError
from postbacks.callbacks.macros.catalogue import in_us_dollars
from postbacks.callbacks.macros.filters import FILTERS, Step
from postbacks.callbacks.macros.names import CREDENTIAL, Source, UnknownNameError, understand
from postbacks.callbacks.macros.parser import FilterCall, Literal, MacroCall, Name
from postbacks.callbacks.macros.problems import Problems, nearest
from postbacks.callbacks.macros.value import RenderScope, present

_MOST_FILTERS: Final = 16


@dataclass(frozen=True, slots=True)
class AppliedFilter:
    """This is a filter at work; `on_missing` is set for the one that replaces a missing value."""

    step: Step
    on_missing: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """This is one macro that gives its value for each rendering.

    `secret` is set by any credential in it, even one that gets no turn: what people see of a
    request must not depend on which of the sources had a value.
    """

    sources: tuple[Source, ...]
    filters: tuple[AppliedFilter, ...]
    names: tuple[str, ...]
    secret: bool
    raw: bool
    required: bool

    def evaluate(self, scope: RenderScope) -> object | None:
        """This is the macro's value, None if it has none."""
        try:
            value = self._source_value(scope)
            for applied in self.filters:
                if (value is None) == applied.on_missing:
                    value = present(applied.step(value, scope))
        except (ArithmeticError, ValueError):
            return None
        return value

    def _source_value(self, scope: RenderScope) -> object | None:
        for source in self.sources:
            value = present(source.read(scope))
            if value is not None:
                return value
        return None

    @property
    def plain_name(self) -> str | None:
        """This is the name of the macro if its value is sent as it is, as most are."""
        is_plain = len(self.sources) == 1 and self.sources[0].is_plain and not self.filters
        return self.sources[0].name if is_plain else None

    @property
    def hides_absence(self) -> bool:
        """This tells whether even the lack of a value would say something about a credential."""
        return any(source.secret for source in self.sources)

    @property
    def is_credential_host(self) -> bool:
        """This tells whether this is {{credential.host}} and nothing more."""
        only_source = [source.name for source in self.sources] == [f"{CREDENTIAL}host"]
        return only_source and not self.filters and not self.required


def compile_expression(
    call: MacroCall, credential_names: Collection[str], problems: Problems
) -> Expression | None:
    """This compiles one macro; None, with problems noted, if something in it is unknown."""
    sources = [_source(each, call, credential_names, problems) for each in call.sources]
    known = tuple(each for each in sources if each is not None)
    applied = [_filter(call, index, known, credential_names, problems) for index in _order(call)]
    if len(call.filters) > _MOST_FILTERS:
        problems.add(call.start, f"A macro has at most {_MOST_FILTERS} filters.")
    if len(known) < len(sources) or None in applied:
        return None
    keys = tuple(_hmac_keys(call))
    return Expression(
        sources=known,
        filters=tuple(each for each in applied if each is not None),
        names=tuple(dict.fromkeys((*(each.name for each in known if each.name), *keys))),
        secret=bool(keys) or any(each.secret for each in known),
        raw=any(each.name == filters.RAW for each in call.filters),
        required=call.required,
    )


def _order(call: MacroCall) -> range:
    return range(min(len(call.filters), _MOST_FILTERS))


def _source(
    part: Name | Literal, call: MacroCall, credential_names: Collection[str], problems: Problems
) -> Source | None:
    if isinstance(part, Literal):
        text = part.text
        return Source("", lambda scope: text)
    try:
        return understand(part.text, credential_names)
    except UnknownNameError as error:
        # The macro's own beginning is shown when it is the only name in it.
        position = call.start if len(call.sources) == 1 else part.position
        problems.add(position, error.message, error.suggestion)
        return None


def _filter(
    call: MacroCall,
    index: int,
    sources: tuple[Source, ...],
    credential_names: Collection[str],
    problems: Problems,
) -> AppliedFilter | None:
    use = call.filters[index]
    if use.name not in FILTERS:
        problems.add(use.position, f"Unknown filter {use.name[:80]}.", nearest(use.name, FILTERS))
        return None
    try:
        _check_order(use, call.filters[:index])
        _check_secrecy(use, sources)
        _check_key(use, credential_names)
        step = _step(use, sources)
    except ArgumentError as error:
        problems.add(use.position, f"{use.name}: {error.message}", error.suggestion)
        return None
    return AppliedFilter(step, on_missing=use.name == filters.DEFAULT)


def _step(use: FilterCall, sources: tuple[Source, ...]) -> Step:
    if use.name != filters.CONVERT:
        return FILTERS[use.name].build(use.argument)
    in_dollars = {in_us_dollars(source.name) for source in sources if source.name}
    if len(in_dollars) > 1:
        raise ArgumentError("These macros are not in the same currency.")
    return filters.convert_step(use.argument, "USD" if True in in_dollars else None)


def _check_order(use: FilterCall, earlier: tuple[FilterCall, ...]) -> None:
    names = [each.name for each in earlier]
    if use.name in filters.TIME_FILTERS and "date" in names:
        raise ArgumentError("It must stand before date, which gives text.")
    if use.name == filters.CONVERT and filters.CONVERT in names:
        raise ArgumentError("A macro can be converted once.")


def _check_secrecy(use: FilterCall, sources: tuple[Source, ...]) -> None:
    if use.name not in filters.FOR_SECRETS and any(source.secret for source in sources):
        # Its result would tell people bit by bit what the credential is.
        raise ArgumentError("It can't be used on a credential.")


def _check_key(use: FilterCall, credential_names: Collection[str]) -> None:
    if use.name != filters.HMAC:
        return
    name = filters.hmac_credential(use.argument)
    if name not in credential_names:
        raise ArgumentError(f"Unknown credential {name[:80]}.", nearest(name, credential_names))


def _hmac_keys(call: MacroCall) -> list[str]:
    return [
        CREDENTIAL + filters.hmac_credential(use.argument)
        for use in call.filters
        if use.name == filters.HMAC
    ]
