"""Tenjin's parameters: their names beside ours, and how calls carry them.

A call has them in its query, or as a form or JSON in its body. Source of the names: Tenjin's
server-to-server documentation, and requests of its SDKs.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal, InvalidOperation, localcontext
from urllib.parse import parse_qsl

from postbacks.intake.events.body import BodyError, inflate, parse_json, without_mark
from postbacks.intake.html_entities import without_entity

_MAX_PARAMETERS = 500  # Tenjin's SDKs send about fifty
_FORM = "application/x-www-form-urlencoded"
_EXACT = Context(prec=60)
_MOST_CONSENTS = 10  # values of one name; enough to see that they contradict each other
_LONGEST_NUMBER = 400  # characters

# Device and user, with the names of our fields. A parameter in no table is kept in `params`.
DEVICE = {
    "analytics_installation_id": "install_id",
    "customer_user_id": "customer_user_id",
    "oaid": "oaid",
    "ip_address": "ip_address",
    "user_agent": "user_agent",
    "app_version": "app_version",
    "sdk_version": "sdk_version",
    "device": "device",
    "device_model": "device_model",
    "device_brand": "device_brand",
    "language": "language",
    "locale": "locale",
    "country": "country",
    "timezone": "timezone",
    "carrier": "carrier",
    "connection_type": "connection_type",
    "referrer": "install_referrer",
    "attribution_token": "adservices_token",
    "iab_tcf": "tcf_string",
    "bundle_id": "bundle_id",
}

FLAGS = frozenset({"limit_ad_tracking", "ad_user_data", "ad_personalization"})
TRACKING_STATUS = "tracking_status"  # Apple's four states of App Tracking Transparency

CONSENTS = FLAGS | {TRACKING_STATUS}

# Names that are read in any letter case: `Limit_Ad_Tracking=1` is an opt-out too.
NAMES = frozenset(
    DEVICE.keys()
    | FLAGS
    | {TRACKING_STATUS, "platform", "advertising_id", "developer_device_id", "api_key"}
    | {"os_version", "os_version_release", "event", "event_id", "sent_at"}
)

# A key among the parameters must not be stored with them.
SECRETS = frozenset({"api_key"})

# By the letters of what was sent: `iOS 17.5` and `Android TV` are here too. What Apple makes has an
# IDFA, whichever screen it has, and what runs Android a GAID.
_PLATFORMS = {
    "ios": "ios iphone iphoneos ipad ipados ipod ipodtouch tvos appletv visionos apple",
    "android": "android androidother androidtv androidos androidtablet androidphone googletv "
    "wearos googleplay",
    "amazon": "amazon fire fireos firetv firetablet kindle kindlefire amazonfire",
    "windows": "windows win uwp windowsphone windowsdesktop",
    "web": "web browser html webgl",
    "tv": "tv tizen webos roku smarttv",
    "other": "other",
}
_PLATFORM_OF = {word: platform for platform, words in _PLATFORMS.items() for word in words.split()}

# Android without Google Play has no gaid: the maker chooses the advertising id.
ADVERTISING_ID_OF_PLATFORM = {"ios": "idfa", "android": "gaid", "amazon": "amazon_id"}

OURS_TO_THEIRS = {
    **{ours: theirs for theirs, ours in DEVICE.items()},
    "idfv": "developer_device_id",
    "idfa": "advertising_id",
    "gaid": "advertising_id",
    "amazon_id": "advertising_id",
    "att_status": TRACKING_STATUS,
    "event_name": "event",
    "event_time": "sent_at",
    "revenue": "price",
}


class SentParameters(dict[str, object]):
    """The parameters of a call, the last of each name; `repeated` had several values."""

    repeated: frozenset[str] = frozenset()

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, object]]) -> "SentParameters":
        """Return parameters of names and values; nothing replaces no value."""
        parameters = cls()
        repeated: set[str] = set()
        for name, value in pairs:
            former = parameters.setdefault(name, value)
            if former != value and value not in (None, ""):
                if former not in (None, ""):
                    repeated.add(name)
                parameters[name] = that_counts(name, former, value)
        parameters.repeated = frozenset(repeated - CONSENTS)
        return parameters


def that_counts(name: str, former: object, value: object) -> object:
    """Return what counts of two values: the last; of consents both, so that no opt-out is lost."""
    if name not in CONSENTS or former in (None, "") or former == value:
        return value
    return [*(former if isinstance(former, list) else [former]), value][:_MOST_CONSENTS]


def in_known_case(sent: Mapping[str, object], names: frozenset[str]) -> dict[str, object]:
    """Return parameters with these names in small letters; a name so written wins."""
    renamed = {
        small: value
        for name, value in sent.items()
        if name not in names and (small := name.lower()) in names and small not in sent
    }
    renamed |= {
        small: that_counts(small, value, sent[small])
        for name, value in sent.items()
        if name not in names and (small := name.lower()) in CONSENTS & sent.keys()
    }
    if not renamed:
        return dict(sent)
    return {name: value for name, value in sent.items() if name.lower() not in renamed} | renamed


def read_query(query: str) -> SentParameters:
    """Return the parameters of a query string; the last of a name counts.

    Raises BodyError (400) if there are too many.
    """
    return SentParameters.of_pairs(_pairs(query))


def read_body(body: bytes, *, content_type: str, encoding: str = "") -> Mapping[str, object]:
    """Return the parameters of a body: a form, or a JSON object.

    Raises BodyError (400, 413 or 415).
    """
    content = without_mark(inflate(body, encoding))
    kind = content_type.partition(";")[0].strip().lower()
    if not content.strip():
        return {}
    if kind == "application/json" or (kind in {"", "text/plain"} and content.lstrip()[:1] == b"{"):
        return _object(content)
    if kind in {"", "text/plain", _FORM}:
        return SentParameters.of_pairs(_pairs(content.decode("utf-8", "replace")))
    raise BodyError(415, f"The Content-Type “{kind}” is not accepted; send a form or JSON.")


def parse_text(value: object) -> str:
    return "" if value is None else str(value).strip()


def parse_number(value: object) -> Decimal | None:
    """Return a text or a number as an exact number; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(_number_text(value) if isinstance(value, str) else value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def read_platform(text: str) -> str:
    """Return our platform for the name of a system or device; empty if nobody knows it."""
    return _PLATFORM_OF.get(re.sub(r"[^a-z]", "", text[:_LONGEST_NUMBER].lower()), "")


def calculate_exactly(calculate: Callable[[], Decimal]) -> Decimal | None:
    """Return the unrounded result of a calculation; None if it exceeds any amount of money."""
    with localcontext(_EXACT):
        try:
            return calculate()
        except ArithmeticError:
            return None


def _number_text(text: str) -> str:
    """Return a text that is a number if `Decimal` reads it: not `1_000`, whose comma is lost."""
    return "" if "_" in text or len(text) > _LONGEST_NUMBER else text.strip()


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise BodyError(
            400, f"More than {_MAX_PARAMETERS} parameters are too many for one call."
        ) from None
    return [(without_entity(name), value) for name, value in pairs]


def _object(content: bytes) -> Mapping[str, object]:
    data = parse_json(content)
    if not isinstance(data, dict):
        raise BodyError(400, "The JSON must be one object of parameters.")
    return data
