"""Compiles one macro of a template: the sources of its value, and its filters."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros import filters, money
from postbacks.callbacks.macros.arguments import ArgumentError
from postbacks.callbacks.macros.filters import FILTERS, Step
from postbacks.callbacks.macros.names import CREDENTIAL, Source, UnknownNameError, understand
from postbacks.callbacks.macros.parser import FilterCall, Literal, MacroCall, Name
from postbacks.callbacks.macros.problems import Problems, RenderError, nearest, too_large
from postbacks.callbacks.macros.value import RenderScope, present

_MOST_FILTERS: Final = 16
LONGEST_RESULT: Final = 262_144  # characters of one macro's value, between its filters too
MOST_WRITTEN: Final = 2_097_152  # characters that all filters of one request write
LONGEST_SECRET_VALUE: Final = 65_536  # of what a credential had a part in
_LONG: Final = 1_024  # shorter texts are not counted


@dataclass(frozen=True, slots=True)
class AppliedFilter:
    """A filter with its argument; `on_missing` marks the one that replaces a missing value.

    `text` is the filter as a template has it.
    """

    step: Step
    on_missing: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled macro.

    Any credential in it makes it `secret`, even one whose turn never comes: what people see of a
    request must not depend on which source had a value. `key_filters` are those from the first that
    uses a credential on. `is_piece`: what is sent is so little of a credential that it could be
    guessed bit by bit.
    """

    sources: tuple[Source, ...]
    open_filters: tuple[AppliedFilter, ...]
    key_filters: tuple[AppliedFilter, ...]
    names: tuple[str, ...]
    secret: bool
    raw: bool
    required: bool
    is_piece: bool = False

    def evaluate(self, scope: RenderScope) -> object | None:
        """Return the macro's value. Raises RenderError if a filter makes it too large."""
        try:
            value = self._open_value(scope)
            for applied in self.key_filters:
                if (value is None) == applied.on_missing:
                    value = present(applied.step(value, scope))
                    if isinstance(value, str) and len(value) > LONGEST_SECRET_VALUE:
                        return None  # an error would tell how long the credential is
        except (ArithmeticError, ValueError):
            return None
        return value

    def _open_value(self, scope: RenderScope) -> object | None:
        """Return the value before the first filter that uses a credential.

        Raises RenderError if a filter makes it too large; ArithmeticError and ValueError mean that
        there is none.
        """
        value = self._source_value(scope)
        if type(value) in (dict, list) and self.filters:
            value = scope.text_of_container(value)
        for applied in self.open_filters:
            if (value is None) == applied.on_missing:
                value = present(applied.step(value, scope))
                if isinstance(value, str) and len(value) > _LONG:
                    _count_written(value, scope)
        return value

    def lacks_value(self, scope: RenderScope) -> bool:
        """Tell whether the macro has no value; one that is too large is a value."""
        try:
            return self.evaluate(scope) is None
        except RenderError:
            return False

    def is_openly_absent(self, scope: RenderScope) -> bool:
        """Tell whether there is no value, and people may know it.

        Nothing that a credential had a part in decides this.
        """
        if not self.secret:
            return self.lacks_value(scope)
        if any(source.secret for source in self.sources):
            return False
        try:
            value = self._open_value(scope)
        except RenderError:
            return False
        except (ArithmeticError, ValueError):
            return True
        return value is None and not any(applied.on_missing for applied in self.key_filters)

    def losing_filter(self, scope: RenderScope) -> str:
        """Return the filter that has nothing for the value; "" if none is to blame."""
        value = self._source_value(scope)
        for applied in self.filters:
            if not applied.on_missing and value is not None:
                value = present(_step_or_none(applied.step, value, scope))
                if value is None:
                    return applied.text
                if isinstance(value, str) and len(value) > LONGEST_RESULT:
                    return ""  # it is too large, and not missing
        return ""

    @property
    def filters(self) -> tuple[AppliedFilter, ...]:
        return self.open_filters + self.key_filters

    def _source_value(self, scope: RenderScope) -> object | None:
        for source in self.sources:
            value = present(source.read(scope))
            if value is not None:
                return value
        return None

    @property
    def plain_name(self) -> str | None:
        """The macro's name if its value is sent as it is, which is so for most."""
        is_plain = len(self.sources) == 1 and self.sources[0].is_plain and not self.filters
        return self.sources[0].name if is_plain else None

    @property
    def is_credential_host(self) -> bool:
        """Whether this is {{credential.host}} and nothing more."""
        is_host = [source.name for source in self.sources] == [f"{CREDENTIAL}host"]
        return is_host and not self.filters and not self.required


def compile_expression(
    call: MacroCall, credential_names: Collection[str], problems: Problems
) -> Expression | None:
    """Compile one macro; None, with problems added, if something in it is unknown."""
    parts = [_source(part, call, credential_names, problems) for part in call.sources]
    sources = tuple(source for source in parts if source is not None)
    applied = [
        _filter(call, index, sources, credential_names=credential_names, problems=problems)
        for index in range(min(len(call.filters), _MOST_FILTERS))
    ]
    if len(call.filters) > _MOST_FILTERS:
        problems.add(call.start, f"A macro has at most {_MOST_FILTERS} filters.")
    if len(sources) < len(parts) or None in applied:
        return None
    keys = tuple(_hmac_keys(call))
    uses = [(use.name, use.argument) for use in call.filters]
    has_secret_source = any(source.secret for source in sources)
    before_key = 0 if has_secret_source else filters.before_key([name for name, _ in uses])
    steps = tuple(step for step in applied if step is not None)
    return Expression(
        sources=sources,
        open_filters=steps[:before_key],
        key_filters=steps[before_key:],
        names=tuple(dict.fromkeys((*(source.name for source in sources if source.name), *keys))),
        secret=bool(keys) or has_secret_source,
        raw=any(use.name == filters.RAW for use in call.filters),
        required=call.required,
        is_piece=filters.cuts_secret(uses[before_key:]),
    )


def _source(
    part: Name | Literal, call: MacroCall, credential_names: Collection[str], problems: Problems
) -> Source | None:
    if isinstance(part, Literal):
        text = part.text
        return Source("", lambda scope: text)
    try:
        return understand(part.text, credential_names)
    except UnknownNameError as error:
        # The only name of a macro is reported at the macro's own beginning.
        position = call.start if len(call.sources) == 1 else part.position
        problems.add(position, error.message, error.suggestion)
        return None


def _filter(
    call: MacroCall,
    index: int,
    sources: tuple[Source, ...],
    *,
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
        step = _step(use, sources, call.filters[:index])
    except ArgumentError as error:
        problems.add(use.position, f"{use.name}: {error.message}", error.suggestion)
        return None
    text = use.name if use.argument is None else f'{use.name}:"{use.argument}"'
    return AppliedFilter(step, on_missing=use.name == filters.DEFAULT, text=text)


def _count_written(text: str, scope: RenderScope) -> None:
    """Bound the texts of a request while its filters write them. Raises RenderError."""
    if len(text) > LONGEST_RESULT:
        raise too_large("A macro's value", LONGEST_RESULT)
    scope.written += len(text)
    if scope.written > MOST_WRITTEN:
        raise too_large("The texts that the filters of this request write", MOST_WRITTEN)


def _step_or_none(step: Step, value: object, scope: RenderScope) -> object | None:
    try:
        return step(value, scope)
    except (ArithmeticError, ValueError):
        return None


def _step(use: FilterCall, sources: tuple[Source, ...], earlier: tuple[FilterCall, ...]) -> Step:
    if use.name not in filters.MONEY_FILTERS:
        return FILTERS[use.name].build(use.argument)
    names = [source.name for source in sources if source.name]
    return money.money_step(use, names, earlier)


def _check_order(use: FilterCall, earlier: tuple[FilterCall, ...]) -> None:
    names = [use_before.name for use_before in earlier]
    if use.name in filters.TIME_FILTERS and "date" in names:
        raise ArgumentError("It must stand before date, which gives text.")
    if use.name == filters.CONVERT and filters.CONVERT in names:
        raise ArgumentError("A macro can be converted once.")


def _check_secrecy(use: FilterCall, sources: tuple[Source, ...]) -> None:
    if use.name not in filters.FOR_SECRETS and any(source.secret for source in sources):
        # Its result would reveal the credential bit by bit.
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
