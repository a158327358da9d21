"""The filters of the macro language.

A filter is built once per use, when its argument is checked, and is then called for each value.
It takes a value, never None, and returns None where the value has no such form.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Final
from urllib.parse import quote

from postbacks.callbacks.macros import arguments
from postbacks.callbacks.macros.arguments import ArgumentError
from postbacks.callbacks.macros.value import (
    EXACT,
    JsonText,
    RenderScope,
    json_of,
    number_of,
    text_of,
    time_of,
    trimmed,
    unix_milliseconds,
    unix_seconds,
)

Step = Callable[[object, RenderScope], object]

RAW: Final = "raw"
DEFAULT: Final = "default"
CONVERT: Final = "convert"
HMAC: Final = "hmac_sha256"
_TRUNCATE: Final = "truncate"
MONEY_FILTERS: Final = frozenset({"cents", "minor", "micros", CONVERT})
TIME_FILTERS: Final = frozenset({"date", "tz", "iso", "unix", "unix_ms"})

FOR_SECRETS: Final = frozenset(
    {
        *("upper", "lower", "trim", "nohyphen", "md5", "sha1", "sha256", HMAC, "base64"),
        *("urlencode", "json", _TRUNCATE, DEFAULT),
    }
)

# A credential's digest may be cut to so many characters, itself to so many: less can be guessed.
_SHORTEST_CUT_OF_DIGEST: Final = 8
_SHORTEST_CUT_OF_SECRET: Final = 128
_DIGESTS: Final = frozenset({"md5", "sha1", "sha256", HMAC})
_LONGEST_TEXT: Final = 10_000
_MOST_DECIMALS: Final = 12
_TRUE: Final = frozenset({"1", "true", "yes", "y", "on", "t"})
_FALSE: Final = frozenset({"0", "false", "no", "n", "off", "f"})


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: its description for people, and the function that builds its step."""

    name: str
    description: str
    example: str
    build: Callable[[str | None], Step]


def hmac_credential(argument: str | None) -> str:
    """Return the name of the credential that signs."""
    name = arguments.required(argument, 'hmac_sha256:"secret"')
    return name.removeprefix("credential.")


def before_key(names: Sequence[str]) -> int:
    """Return how many filters stand before the first that signs."""
    return names.index(HMAC) if HMAC in names else len(names)


def cuts_secret(uses: Sequence[tuple[str, str | None]]) -> bool:
    """Tell whether filters leave so little of a credential that tries would find it.

    `uses` are the names and arguments of the filters from the credential on.
    """
    is_digest = False
    for name, argument in uses:
        is_digest = is_digest or name in _DIGESTS
        shortest = _SHORTEST_CUT_OF_DIGEST if is_digest else _SHORTEST_CUT_OF_SECRET
        if name == _TRUNCATE and int(argument or 0) < shortest:
            return True
        if name not in FOR_SECRETS and name != RAW:
            return True
    return False


def _text_step(change: Callable[[str], object]) -> Callable[[str | None], Step]:
    return _plain_step(lambda value: change(text_of(value)))


def _plain_step(change: Callable[[object], object]) -> Callable[[str | None], Step]:
    def build(argument: str | None) -> Step:
        if argument is not None:
            raise ArgumentError("This filter takes no argument.")
        return lambda value, scope: change(value)

    return build


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _md5(text: str) -> str:
    return hashlib.md5(_bytes(text), usedforsecurity=False).hexdigest()


def _sha1(text: str) -> str:
    return hashlib.sha1(_bytes(text), usedforsecurity=False).hexdigest()


def _micros(value: object) -> Decimal | None:
    number = number_of(value)
    return None if number is None else trimmed(number.scaleb(6, EXACT))


def _int(value: object) -> int | None:
    if isinstance(value, datetime):
        return unix_seconds(value)
    number = number_of(value)
    return None if number is None else int(number.to_integral_value(ROUND_DOWN))


def _truth(value: object) -> bool | None:
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    number = number_of(value)
    return None if number is None else number != 0


def _iso(value: object) -> str | None:
    time = time_of(value)
    if time is None:
        return None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unix(value: object) -> int | None:
    time = time_of(value)
    return None if time is None else unix_seconds(time)


def _unix_ms(value: object) -> int | None:
    time = time_of(value)
    return None if time is None else unix_milliseconds(time)


def _build_hmac(argument: str | None) -> Step:
    name = hmac_credential(argument)

    def sign(value: object, scope: RenderScope) -> str | None:
        key = scope.credentials.get(name)
        if not key:
            return None
        return hmac.new(_bytes(key), _bytes(text_of(value)), hashlib.sha256).hexdigest()

    return sign


def _build_round(argument: str | None) -> Step:
    places = arguments.whole_number(argument or "0", lowest=0, highest=_MOST_DECIMALS)
    unit = Decimal(1).scaleb(-places)

    def round_(value: object, scope: RenderScope) -> Decimal | None:
        number = number_of(value)
        return None if number is None else number.quantize(unit, context=EXACT)

    return round_


def _build_truncate(argument: str | None) -> Step:
    length = arguments.whole_number(argument, lowest=1, highest=_LONGEST_TEXT)
    return lambda value, scope: text_of(value)[:length]


def _build_bool(argument: str | None) -> Step:
    words = arguments.two_words(argument)
    by_truth: Mapping[bool | None, str | None] = {True: words[0], False: words[1], None: None}
    return lambda value, scope: by_truth[_truth(value)]


def _build_map(argument: str | None) -> Step:
    table = arguments.mapping(argument)
    return lambda value, scope: table.get(text_of(value))


def _build_date(argument: str | None) -> Step:
    form = arguments.date_format(argument)

    def date(value: object, scope: RenderScope) -> str | None:
        time = time_of(value)
        return None if time is None else time.strftime(form)

    return date


def _build_tz(argument: str | None) -> Step:
    zone = arguments.time_zone(argument)

    def tz(value: object, scope: RenderScope) -> datetime | None:
        time = time_of(value)
        return None if time is None else time.astimezone(zone)

    return tz


def _build_default(argument: str | None) -> Step:
    text = arguments.required(argument, 'default:"none"')
    return lambda value, scope: text


def _of_money(argument: str | None) -> Step:
    """Check the argument; `postbacks.callbacks.macros.money` builds the step."""
    return _plain_step(lambda value: value)(argument)


def _build_convert(argument: str | None) -> Step:
    arguments.currency(argument)
    return _of_money(None)


_ALL: Final = (
    Filter("upper", "Capital letters", "upper", _text_step(str.upper)),
    Filter("lower", "Small letters", "lower", _text_step(str.lower)),
    Filter("trim", "Without spaces around it", "trim", _text_step(str.strip)),
    Filter("nohyphen", "Without hyphens", "nohyphen", _text_step(lambda t: t.replace("-", ""))),
    Filter("md5", "MD5 in hexadecimal", "md5", _text_step(_md5)),
    Filter("sha1", "SHA-1 in hexadecimal", "sha1", _text_step(_sha1)),
    Filter(
        "sha256",
        "SHA-256 in hexadecimal",
        "sha256",
        _text_step(lambda t: hashlib.sha256(_bytes(t)).hexdigest()),
    ),
    Filter(
        HMAC, "HMAC-SHA256 with one of the partner's credentials", f'{HMAC}:"secret"', _build_hmac
    ),
    Filter(
        "base64", "Base64", "base64", _text_step(lambda t: base64.b64encode(_bytes(t)).decode())
    ),
    Filter(
        "urlencode",
        "Percent-encoded once more",
        "urlencode",
        _text_step(lambda t: quote(t, safe="", errors="replace")),
    ),
    Filter(RAW, "As it is, without the encoding of its place", RAW, _plain_step(lambda v: v)),
    Filter("json", "As JSON", "json", _plain_step(lambda v: JsonText(json_of(v)))),
    Filter("round", "Rounded to so many decimals", "round:2", _build_round),
    Filter(
        "cents",
        "Whole minor units: 4.99 EUR is 499, 100 JPY is 100; hundredths without a currency",
        "cents",
        _of_money,
    ),
    Filter(
        "minor",
        "Whole minor units of the currency, as cents; no value without a currency",
        "minor",
        _of_money,
    ),
    Filter("micros", "Millionths: 4.99 is 4990000", "micros", _plain_step(_micros)),
    Filter("int", "Without decimals; 1 and 0 for true and false", "int", _plain_step(_int)),
    Filter("bool", "Words for true and false", 'bool:"1,0"', _build_bool),
    Filter("map", "Other words; others have no value", 'map:"ios=1,android=2"', _build_map),
    Filter("date", "A time in a format of yours", 'date:"%Y-%m-%d"', _build_date),
    Filter("tz", "A time in a time zone, before date", 'tz:"Europe/Kyiv"', _build_tz),
    Filter("unix", "A time in seconds since 1970", "unix", _plain_step(_unix)),
    Filter("unix_ms", "A time in milliseconds since 1970", "unix_ms", _plain_step(_unix_ms)),
    Filter("iso", "A time as 2026-01-31T12:00:00.000Z", "iso", _plain_step(_iso)),
    Filter(_TRUNCATE, "The first so many characters", "truncate:100", _build_truncate),
    Filter(CONVERT, "Money in another currency", f'{CONVERT}:"EUR"', _build_convert),
    Filter(DEFAULT, "What to send without a value", f'{DEFAULT}:"none"', _build_default),
)

FILTERS: Final[Mapping[str, Filter]] = {filter_.name: filter_ for filter_ in _ALL}
