"""The referrer that Google's Play store gives to an app: a query string that names the click.

The store keeps it for 90 days and returns it with six more fields: when the page was opened and the
download began, each by the device's clock and by Google's, the version, and whether it was an
instant app (developer.android.com, Install Referrer library). Times are 0 where there are none.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from postbacks.values.identifiers import CLICK_ID, TOUCH, identifier
from postbacks.values.placeholders import is_placeholder
from postbacks.values.touchpoints import LONGEST_CLICK_ID

OWN_CLICK = "postbacks_click"  # our own id of a click, put there by our redirect
_MAX_PARAMETERS = 100
_MOST_LAYERS = 4
_NESTED = ("referrer", "install_referrer", "play_referrer", "google_play_referrer")
_ADDRESS = re.compile(r"(?:https?|market|android-app)://", re.IGNORECASE)
_OWN_CLICK_INSIDE = re.compile(rf"{OWN_CLICK}(?:=|%(?:25)*3D)([0-9a-f-]{{36}})", re.IGNORECASE)
# gclid and fbclid, click_id and clickid, adjust_external_click_id, …
_CLICK_ID_PARAMETER = re.compile(r"(.*[_-])?click_?id|[a-z]{1,3}clk?id|gbraid|wbraid")


def parse(referrer: object) -> dict[str, str]:
    """Return a referrer's parameters, the first of each name; none of a broken one."""
    if not isinstance(referrer, str):
        return {}
    parameters: dict[str, str] = {}
    inner = referrer
    for _ in range(_MOST_LAYERS):
        outer = _parameters(inner)
        parameters = {**outer, **parameters}
        inner = next((outer[name] for name in _NESTED if outer.get(name)), "")
    return parameters


def _parameters(referrer: str) -> dict[str, str]:
    """Return the parameters of one layer, however often an SDK or a link has encoded it."""
    text = referrer.strip()
    if _ADDRESS.match(text):  # the whole address of the store's page
        text = text.partition("?")[2].partition("#")[0]
    text = text.removeprefix("?")
    for _ in range(_MOST_LAYERS):
        if "=" in text or "%" not in text:
            break
        text = unquote(text)
    try:
        pairs = parse_qsl(text.replace("&amp;", "&"), max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return {}
    return {**_own_click_inside(pairs), **dict(reversed(pairs))}


def _own_click_inside(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return our click from a value that has swallowed the parameters behind it, encoded."""
    for _, value in pairs:
        if match := _OWN_CLICK_INSIDE.search(value):
            return {OWN_CLICK: match[1]}
    return {}


def click_identifiers(parameters: Mapping[str, object]) -> Iterator[str]:
    """Yield the identifiers of clicks among parameters: ours, or those of networks."""
    for key, value in parameters.items():
        if not isinstance(value, str):
            continue
        if key.lower() == OWN_CLICK:
            yield from own_click(value)
        elif _CLICK_ID_PARAMETER.fullmatch(key.lower()):
            yield from network_click(value)


def network_click(value: str) -> Iterator[str]:
    """Yield the identifier of a network's click, if the value can be an id of one."""
    text = value.strip()
    if len(text) <= LONGEST_CLICK_ID and not is_placeholder(text):
        yield identifier(CLICK_ID, text)


def own_click(value: str) -> Iterator[str]:
    """Yield the identifier of our own touchpoint, if the value can be an id of one."""
    try:
        yield identifier(TOUCH, str(UUID(value.strip())))
    except ValueError:
        return
