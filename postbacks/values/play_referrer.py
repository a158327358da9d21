"""The referrer that Google's Play store gives to an app: a query string that names the click.

The store keeps it for 90 days and returns it with six more fields: when the page was opened and the
download began, each by the device's clock and by Google's, the version, and whether it was an
instant app (developer.android.com, Install Referrer library). Times are 0 where there are none.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from postbacks.values.identifiers import CLICK_ID, TOUCH, identifier, is_placeholder

OWN_CLICK = "postbacks_click"  # our own id of a click, put there by our redirect
_MAX_PARAMETERS = 100
_MAX_ID_LENGTH = 1024  # as long as a touchpoint keeps it
# gclid and fbclid, click_id and clickid, adjust_external_click_id, …
_CLICK_ID_PARAMETER = re.compile(r"(.*[_-])?click_?id|[a-z]{1,3}clk?id|gbraid|wbraid")


def parse(referrer: object) -> dict[str, str]:
    """Return a referrer's parameters, the first of each name; none of a broken one."""
    if not isinstance(referrer, str):
        return {}
    text = referrer.strip().removeprefix("?")
    if "=" not in text and "%3d" in text.lower():  # an SDK or a link has encoded it once more
        text = unquote(text)
    try:
        pairs = parse_qsl(text, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


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
    if len(text) <= _MAX_ID_LENGTH and not is_placeholder(text):
        yield identifier(CLICK_ID, text)


def own_click(value: str) -> Iterator[str]:
    """Yield the identifier of our own touchpoint, if the value can be an id of one."""
    try:
        yield identifier(TOUCH, str(UUID(value.strip())))
    except ValueError:
        return
