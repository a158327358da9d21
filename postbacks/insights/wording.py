"""Figures, times and answers in words."""

from datetime import datetime, timedelta
from decimal import Decimal

from apps_registry.models.apps import Platform
from postbacks.models import Event

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_NBSP = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line

WITHOUT_ANSWER = {
    "no_answer": "No answer",
    "timeout": "Timed out",
    "dns": "Host not found",
    "connect": "Could not connect",
    "tls": "TLS failed",
    "reset": "Connection broke off",
    "protocol": "Answer was not HTTP",
    "blocked": "Address not allowed",
    "invalid_request": "Request not valid",
    "redirect": "Redirected",
    "body_says_no": "Body says no",
    "body_is_final": "Body says no for good",
    "body_says_retry": "Body says try again",
}

DEVICE_IDS = {
    "install_id": "Install ID",
    "web_id": "Web ID",
    "idfa": "IDFA",
    "gaid": "Google advertising ID",
    "oaid": "OAID",
    "amazon_id": "Fire advertising ID",
    "advertising": "Advertising ID",
    "advertising_id": "Advertising ID",
    "idfv": "IDFV",
    "app_set_id": "App set ID",
    "android_id": "Android ID",
    "customer_user_id": "Your own user ID",
}


def device(stored: str) -> str:
    """Return a device, stored as `kind:value`, with its kind in words: Install ID a-device."""
    kind, _, value = stored.partition(":")
    return f"{DEVICE_IDS[kind]} {value}" if kind in DEVICE_IDS and value else stored


def platform(event: Event) -> str:
    """Return an event's platform as its makers write it, "" where the event names none."""
    return dict(Platform.choices).get(event.platform, event.platform)


def revenue(event: Event) -> str:
    """Return an event's revenue with every digit that was sent, "" without one."""
    return "" if event.revenue is None else amount(event.revenue, event.currency)


def amount(revenue: Decimal, currency: str) -> str:
    """Return an amount with every digit: 4.99 USD."""
    return f"{revenue.normalize():f} {currency}".strip()


def number(count: int) -> str:
    """Return a count with separators of thousands: 1,234."""
    return f"{count:,}"


def percent(share: float) -> str:
    """Return a percentage with one digit, which never rounds to a false 100 or 0."""
    if 99.9 < share < 100:
        return f"> 99.9{_NBSP}%"
    if 0 < share < 0.1:
        return f"< 0.1{_NBSP}%"
    return f"{share:.1f}".removesuffix(".0") + f"{_NBSP}%"


def change(count: int, before: int, period: str = "the day before") -> str:
    """Return the change to the period before; empty for small counts, whose changes are noise."""
    if before < 20:
        return ""
    percents = round(100 * (count - before) / before)
    if percents == 0:
        return f"as many as {period}"
    if percents >= 1_000:
        return f"{round(count / before):,} times {period}"
    return f"{percents:+d}{_NBSP}% to {period}".replace("-", "\N{MINUS SIGN}")


def seconds(length: float) -> str:
    """Return a time span in the unit that suits it: 40 ms, 1.4 s, 3 min, 2 h, 3 days."""
    if length < 1:
        return f"{max(round(length * 1_000), 1)}{_NBSP}ms"
    if length < 10:
        return f"{length:.1f}".removesuffix(".0") + f"{_NBSP}s"
    if length < _MINUTE:
        return f"{round(length)}{_NBSP}s"
    return span(timedelta(seconds=length))


def span(length: timedelta) -> str:
    """Return a time span of a minute or more, cut down to whole units: 3 min, 2 h, 1 day."""
    total = int(length.total_seconds())
    if total < _HOUR:
        return f"{max(total // _MINUTE, 1)}{_NBSP}min"
    if total < _DAY:
        return f"{total // _HOUR}{_NBSP}h"
    days = total // _DAY
    return f"1{_NBSP}day" if days == 1 else f"{days}{_NBSP}days"


def format_moment(local: datetime, *, to_seconds: bool = False) -> str:
    """Return a moment as all pages write it, in its own zone: Nov 23, 2026, 00:43."""
    clock = f"{local:%H:%M:%S %Z}" if to_seconds else f"{local:%H:%M}"
    return f"{local:%b} {local.day}, {local.year}, {clock}"


def ago(moment: datetime, now: datetime) -> str:
    """Return the time since a moment: 3 min ago."""
    age = now - moment
    return "just now" if age < timedelta(minutes=1) else f"{span(age)} ago"


def answer(code: str, status_code: int | None = None) -> str:
    """Return an attempt's error code in words, with the HTTP status where there was one."""
    if code.startswith("http_2"):
        return f"HTTP {code.removeprefix('http_')}, but not a success"
    if code.startswith("http_"):
        return f"HTTP {code.removeprefix('http_')}"
    words = WITHOUT_ANSWER.get(code, code.replace("_", " ").capitalize())
    if status_code is None:
        return words
    return f"HTTP {status_code}: {words.lower()}" if words else f"HTTP {status_code}"


def lower_first(text: str) -> str:
    """Return words as they stand inside a sentence; an abbreviation such as TLS stays."""
    is_name = len(text) > 1 and text[:2].isalpha() and text[:2].isupper()
    return text if is_name else text[:1].lower() + text[1:]


def times(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"
