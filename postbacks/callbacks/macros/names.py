"""Resolves a macro's name to the function that reads its value.

There are three kinds of names: `params.level` and `click.sub1` look into the event,
`credential.api_key` into the partner's credentials, and all others are in the catalogue, perhaps
with endings.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros.catalogue import CATALOGUE, ENDINGS
from postbacks.callbacks.macros.filters import FILTERS, Step
from postbacks.callbacks.macros.problems import nearest
from postbacks.callbacks.macros.value import RenderScope, Value

Reader = Callable[[RenderScope], object]

CREDENTIAL: Final = "credential."
OPEN_NAMES: Final = ("params", "click")

_MOST_ENDINGS: Final = 3


class UnknownNameError(ValueError):
    """No macro has this name; the message is for people."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Source:
    """A resolved name: `name` is canonical, without endings.

    If `is_plain`, reading it looks `name` up and does nothing more.
    """

    name: str
    read: Reader
    secret: bool = False
    is_plain: bool = False


def understand(name: str, credential_names: Collection[str] = ()) -> Source:
    """Resolve a name. Raises UnknownNameError."""
    root, dot, path = name.partition(".")
    if not dot:
        return _from_catalogue(name)
    if root in OPEN_NAMES:
        return Source(name, _path_reader(root, path))
    if f"{root}." == CREDENTIAL:
        return _credential(path, credential_names)
    close = nearest(root, (*OPEN_NAMES, "credential"))
    raise UnknownNameError(
        f"Unknown macro {name[:80]}.",
        f"{close}.{path}" if close else None,
    )


def read_macro(values: Mapping[str, Value], name: str) -> object:
    """Return a macro's value by the name that a template would write; None without a value.

    Raises UnknownNameError for an unknown name and for credentials, which only requests may hold.
    """
    return understand(name).read(RenderScope(values, {}))


def _credential(name: str, credential_names: Collection[str]) -> Source:
    if name not in credential_names:
        close = nearest(name, credential_names)
        raise UnknownNameError(
            f"Unknown credential {name[:80]}.", f"{CREDENTIAL}{close}" if close else None
        )
    return Source(CREDENTIAL + name, lambda scope: scope.credentials.get(name), secret=True)


def _from_catalogue(name: str) -> Source:
    steps: list[Step] = []
    base = name
    while base not in CATALOGUE and len(steps) < _MOST_ENDINGS:
        ending = next((ending for ending in ENDINGS if base.endswith(ending)), None)
        if ending is None:
            break
        base = base[: -len(ending)]
        steps.insert(0, FILTERS[ENDINGS[ending][0]].build(None))
    if base not in CATALOGUE:
        raise UnknownNameError(f"Unknown macro {name[:80]}.", _nearest_macro(name))
    _check_endings(name, base)
    return Source(base, _with_steps(_value_reader(base), steps), is_plain=not steps)


def _check_endings(name: str, base: str) -> None:
    kind = CATALOGUE[base].type
    first = next((ending for ending in ENDINGS if name.startswith(base + ending)), None)
    if first is not None and kind not in ENDINGS[first][1]:
        article = "an" if kind[0] in "aeiou" else "a"
        raise UnknownNameError(f"{first} does not fit {base}, {article} {kind} macro.", base)


def _nearest_macro(name: str) -> str | None:
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
    close = nearest(name.removesuffix(ending), CATALOGUE)
    if close is None or (ending and CATALOGUE[close].type not in ENDINGS[ending][1]):
        return nearest(name, CATALOGUE)
    return close + ending


def _value_reader(name: str) -> Reader:
    return lambda scope: scope.values.get(name)


def _with_steps(read: Reader, steps: Sequence[Step]) -> Reader:
    if not steps:
        return read

    def read_changed(scope: RenderScope) -> object:
        value = read(scope)
        for step in steps:
            if value is None or value == "":
                return None
            value = step(value, scope)
        return value

    return read_changed


def _path_reader(root: str, path: str) -> Reader:
    keys = path.split(".")

    def read(scope: RenderScope) -> object:
        value: object = scope.values.get(root)
        if isinstance(value, Mapping) and path in value:
            return value[path]
        for key in keys:
            value = _member(value, key)
        return value

    return read


def _member(container: object, key: str) -> object:
    if isinstance(container, Mapping):
        return container.get(key)
    if isinstance(container, list | tuple) and key.isascii() and key.isdigit():
        index = int(key[:6])
        return container[index] if index < len(container) else None
    return None
