"""Checks one event and converts it to the row that is stored."""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import msgspec

from apps_registry.addresses import normalized_address
from postbacks.intake.events.device_clock import (
    CORRECTED_BY,
    ClockError,
    DeviceClock,
    EventTime,
    as_text,
    clock_fields,
    correction_remark,
    in_order,
    read_event_time,
    whole_seconds,
)
from postbacks.intake.events.fields import (
    DEVICE_IDS,
    FIELD_NAMES,
    FLAGS,
    ID_NAMES,
    IN_COLUMNS,
    TIMESTAMPS,
    WHOLE_NUMBERS,
    EventFields,
    field_errors,
)
from postbacks.intake.events.lenient_json import FlawedItem
from postbacks.intake.geoip import country_of
from postbacks.intake.receipts import FieldError
from postbacks.intake.sdk_keys import Reporter
from postbacks.values import identifiers, refusals
from postbacks.values.countries import OTHER_CODES, canonical_country
from postbacks.values.currencies import CURRENCIES
from postbacks.values.placeholders import why_no_id
from postbacks.values.timestamps import parse_timestamp
from postbacks.values.visible_text import hidden_character, is_visible

MAX_PARAMS_BYTES = 32 * 1024
UNKNOWN_IN_PARAMS = "Unknown field; it was kept in params."
_LEFT_OUT = "It was left out; send the ID itself, or leave the field out where there is none."
NO_CURRENCY = (
    "The event has revenue, but no currency: nothing can convert it, and partners can't tell what "
    "it is worth. Send currency with it, such as EUR."
)
UNKNOWN_LEFT_OUT = "Unknown field; it was left out, because params has one of this name."
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_MOST_DECIMALS = 12
_MOST_DIGITS = 19
_MOST_LISTED = 5
_LONGEST_MARK = 200  # characters that are kept of what stood in place of an id
_EXAMPLE = "{“event_name”: “purchase”}"
_NO_TIME = {"", "0"}
_NUL = b"\\u0000"  # in JSON
_HUGE = 2**63  # a number that bigint does not hold
_RARE = WHOLE_NUMBERS | FLAGS | TIMESTAMPS | {"sharing_opt_out"}
_TEXTS = FIELD_NAMES - IN_COLUMNS - ID_NAMES - _RARE - {"sent_at", "price"}


@dataclass(slots=True)
class CheckedEvent:
    """An event ready to be stored, or its errors."""

    row: dict[str, object] = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)
    warnings: dict[str, str] = field(default_factory=dict)  # by field
    remarks: Sequence[FieldError] = ()  # on parts of its values
    time: EventTime | None = None  # None where the event said none
    left_out_ids: tuple[str, ...] = ()  # fields whose value is no id

    @property
    def is_time_corrected(self) -> bool:
        return self.time is not None and self.time.is_corrected and not self.errors


def check_event(
    item: object, *, reporter: Reporter, now: datetime, request_clock: DeviceClock | None = None
) -> CheckedEvent:
    """Check one event of a body and fill in the defaults of its reporter.

    `request_clock` counts for an event without a `sent_at` of its own.
    """
    return EventChecker(reporter, request_clock or DeviceClock(now)).check(item)


class EventChecker:
    """Checks the events of one request and fills in the defaults of its reporter.

    What is the same for all of them is found out once. `body` is what the events were parsed from:
    what stands nowhere in it is looked for in none of them.
    """

    def __init__(self, reporter: Reporter, clock: DeviceClock, body: bytes | None = None) -> None:
        self._reporter = reporter
        self._clock = clock  # counts for an event without a `sent_at` of its own
        self._now = as_text(clock.now)
        self._may_hold_nul = (
            body is None or _NUL in body or b"\0" in body or "\0" in (reporter.user_agent or "")
        )
        # A number takes at most twice as many bytes where it is measured as where it was sent.
        self._may_be_large = body is None or len(body) > MAX_PARAMS_BYTES // 2
        # What the events of one device, or of one server, have in common is read once.
        self._plain_ids: set[tuple[str, str]] = set()  # kept as they are, and nothing is odd
        self._devices: dict[tuple[str, str], str] = {}
        self._places: dict[
            str | None, tuple[str, str | None]
        ] = {}  # address and country; None: own
        self._names: dict[str, str] = {}  # those of events that people can see

    def check(self, item: object) -> CheckedEvent:
        """Return an event as it is stored, or its errors."""
        checked = CheckedEvent()
        if isinstance(item, FlawedItem):
            checked.errors, checked.remarks = list(item.errors), list(item.repaired)
            item = item.value
            if checked.errors:
                return checked
        if not isinstance(item, dict):
            detail = f"{refusals.quote(item)} is no event. Send an object such as {_EXAMPLE}."
            checked.errors.append(FieldError("", detail))
            return checked
        try:
            event = msgspec.convert(item, EventFields)
        except msgspec.ValidationError:
            item = _with_whole_numbers(item)
            try:
                event = msgspec.convert(item, EventFields)
            except msgspec.ValidationError:
                checked.errors = field_errors(item)
                return checked
        self._fill(checked, event, item)
        return checked

    def _fill(self, checked: CheckedEvent, event: EventFields, item: Mapping[str, object]) -> None:
        errors = checked.errors
        params = event.params or {}
        if not item.keys() <= FIELD_NAMES:
            params = _with_unknown_fields(params, item, checked.warnings)
        if event.country is not None and event.country.upper() in OTHER_CODES:
            code = canonical_country(event.country)
            checked.warnings["country"] = (
                f"In ISO 3166 “{event.country}” is {code}, which was stored."
            )
        fields: dict[str, object] = {
            name: value for name, value in item.items() if name in _TEXTS and value is not None
        }
        ids = self._read_ids(item, fields, checked)
        if lacks_currency(event.revenue, event.price, event.currency):
            checked.warnings["currency"] = NO_CURRENCY
        row: dict[str, object] = {
            "event_id": _event_id(event, errors),
            "event_name": self._names.get(event.event_name) or self._event_name(event, errors),
            "event_time": "",
            "bundle_id": _bundle_id(event, self._reporter, errors),
            "platform": event.platform or self._reporter.platform,
            "device": self._device(ids),
            "customer_user_id": ids.get("customer_user_id", ""),
            "revenue": _amount("revenue", event.revenue, errors),
            "currency": _currency(event, errors),
            "fields": fields,
            "params": params,
        }
        checked.row = row
        self._complete(fields, event, errors)
        if not _RARE.isdisjoint(item):
            _add_rare_fields(fields, event, checked.warnings)
        row["event_time"] = self._event_time(event, checked, fields)
        errors += self._storage_errors(row, params)

    def _event_name(self, event: EventFields, errors: list[FieldError]) -> str:
        name = event.event_name.strip()
        if is_visible(name):
            self._names[event.event_name] = name
        else:
            hidden = hidden_character(name)
            reason = f"holds {hidden}" if hidden else "has no visible character"
            detail = f"{refusals.quote(name)} {reason}. Write a name such as “purchase”."
            errors.append(FieldError("/event_name", detail))
        return name

    def _read_ids(
        self, item: Mapping[str, object], fields: dict[str, object], checked: CheckedEvent
    ) -> dict[str, str]:
        """Return an event's ids, each spelled in its one way, without what only stands for one.

        `fields` get them too.
        """
        ids: dict[str, str] = {}
        for name, value in item.items():
            if name not in ID_NAMES or not isinstance(value, str):
                continue
            if value and (name, value) not in self._plain_ids:
                value = self._read_id(name, value, fields, checked)
                if not value:
                    continue
            fields[name] = value
            if value:
                ids[name] = value
        fields.pop("customer_user_id", None)  # it has a column
        return ids

    def _read_id(
        self, name: str, value: str, fields: dict[str, object], checked: CheckedEvent
    ) -> str:
        """Return an id in the form in which it is kept; "" if it is none; `checked` says why.

        `fields` keep it as it was written, where older rows may have it so, or what stood in its
        place.
        """
        if identifiers.is_spelled_well(name, value):
            self._plain_ids.add((name, value))
            return value
        normalized = identifiers.read_id(name, value)
        if not normalized:
            checked.warnings[name] = f"{why_no_id(value)} {_LEFT_OUT}"
            checked.left_out_ids += (name,)
            _mark(fields, identifiers.LEFT_OUT_IDS, name, value.strip()[:_LONGEST_MARK])
            return ""
        if odd := identifiers.why_odd(name, normalized):
            checked.warnings[name] = odd
        elif normalized == value:
            self._plain_ids.add((name, value))
        if normalized != value and identifiers.is_irregular(value, normalized):
            _mark(fields, identifiers.AS_WRITTEN, name, value)
        return normalized

    def _device(self, ids: Mapping[str, str]) -> str:
        for name in DEVICE_IDS:
            if name in ids:
                best = name, ids[name]
                if best not in self._devices:
                    self._devices[best] = identifiers.device_key(*best)
                return self._devices[best]
        return ""

    def _complete(
        self, fields: dict[str, object], event: EventFields, errors: list[FieldError]
    ) -> None:
        """Fill in what the request itself says of its device, and check what types can't."""
        address, country = self._place(event, errors)
        if address:
            fields["ip_address"] = address
        if event.user_agent is None and self._reporter.user_agent:
            fields["user_agent"] = self._reporter.user_agent
        if event.country is not None:
            if not _COUNTRY.fullmatch(event.country):
                errors.append(FieldError("/country", refusals.not_country(event.country)))
            fields["country"] = canonical_country(event.country)
        elif country:
            fields["country"] = country
        if event.price is not None:
            fields["price"] = _amount("price", event.price, errors)

    def _place(self, event: EventFields, errors: list[FieldError]) -> tuple[str, str | None]:
        """Return an event's address, "" without one, and the address's country."""
        sent = event.ip_address
        if sent not in self._places:
            address = self._reporter.ip_address or "" if sent is None else normalized_address(sent)
            if not address and sent is not None:
                errors.append(FieldError("/ip_address", refusals.not_address(sent)))
                return "", None
            self._places[sent] = address, country_of(address) if address else None
        return self._places[sent]

    def _event_time(
        self, event: EventFields, checked: CheckedEvent, fields: dict[str, object]
    ) -> str:
        """Return the event's time, and correct it and `fields` where its clock is wrong."""
        clock = self._clock
        if event.event_time is None and event.sent_at is None and clock.sent_at is None:
            return self._now
        try:
            if event.sent_at is not None:
                clock = DeviceClock.read(event.sent_at, now=clock.now)
            if event.event_time is None:
                time, stored = None, clock.now
            else:
                time = read_event_time(event.event_time, clock)
                stored = time.stored
        except ClockError as error:
            checked.errors.append(FieldError(f"/{error.field}", error.detail))
            return ""
        checked.time = time
        if clock.sent_at is not None or (time is not None and time.is_corrected):
            fields |= clock_fields(fields, time, clock)
            if CORRECTED_BY in fields:
                name = "sent_at" if time is None else "event_time"
                checked.warnings[name] = correction_remark(event.event_time, time, clock)
        return as_text(stored)

    def _storage_errors(
        self, row: Mapping[str, object], params: Mapping[str, object]
    ) -> list[FieldError]:
        """Return an error for each value that PostgreSQL can't hold.

        Found here, such a value rejects its own event; in the statement it would reject all.
        """
        if params and _holds_huge_number(params):
            number = refusals.quote(next(_huge_numbers(params)))
            detail = (
                f"The number {number} is too large or too small. Write it as a text: “{number}”."
            )
            return [FieldError("/params", detail)]
        errors: list[FieldError] = []
        if self._may_be_large and (size := len(msgspec.json.encode(params))) > MAX_PARAMS_BYTES:
            detail = f"The parameters have {size:,} bytes. Send at most {MAX_PARAMS_BYTES:,}."
            errors.append(FieldError("/params", detail))
        if self._may_hold_nul and _NUL in msgspec.json.encode(row):  # only then look for the field
            fields = row["fields"] if isinstance(row["fields"], dict) else {}
            ours = {name: fields[name] for name in EventFields.__struct_fields__ if name in fields}
            errors.extend(
                FieldError(f"/{name}", "The text holds a NUL character; remove it.")
                for name, value in {**row, "device": "", **ours, **fields}.items()
                if name != "fields" and _holds_nul(value)
            )
        return errors


def lacks_currency(revenue: object, price: object, currency: str | None) -> bool:
    """Tell whether an event has money, and does not say in which currency."""
    return not currency and bool(revenue or price)


def keep_order(events: Iterable[CheckedEvent]) -> None:
    """Keep each device's events of one request in order where times were corrected."""
    by_device: dict[object, list[tuple[EventTime, CheckedEvent]]] = {}
    for event in events:
        if event.time is not None and event.row.get("device") and not event.errors:
            by_device.setdefault(event.row["device"], []).append((event.time, event))
    for timed in by_device.values():
        timed.sort(key=lambda pair: pair[0].claimed)
        for time, (former, event) in zip(in_order([t for t, _ in timed]), timed, strict=True):
            fields = event.row["fields"]
            if time != former and isinstance(fields, dict):
                event.row["event_time"] = as_text(time.stored)
                fields[CORRECTED_BY] = whole_seconds(time.correction)


def _with_whole_numbers(item: Mapping[str, object]) -> dict[str, object]:
    """Return an event in which 1.0 is 1, where a whole number or a flag belongs."""
    numbers = {
        name: int(value)
        for name in (WHOLE_NUMBERS | FLAGS | TIMESTAMPS) & item.keys()
        if isinstance(value := item[name], Decimal)
        and value.is_finite()
        and value.adjusted() < _MOST_DIGITS
        and value == value.to_integral_value()
    }
    return {**item, **numbers}


def _event_id(event: EventFields, errors: list[FieldError]) -> str:
    if event.event_id is None:
        return str(uuid.uuid4())
    if identifiers.is_canonical_uuid(event.event_id):
        return event.event_id
    try:
        return str(uuid.UUID(event.event_id))
    except ValueError:
        errors.append(FieldError("/event_id", refusals.not_uuid(event.event_id)))
        return ""


def _bundle_id(event: EventFields, reporter: Reporter, errors: list[FieldError]) -> str:
    if event.bundle_id is None:
        if len(reporter.bundle_ids) > 1:
            detail = f"The app has several bundle IDs. Write one of: {_listed(reporter)}."
            errors.append(FieldError("/bundle_id", detail))
        return reporter.bundle_ids[0] if reporter.bundle_ids else ""
    if event.bundle_id not in reporter.bundle_ids:
        instead = f"Write one of: {_listed(reporter)}" if reporter.bundle_ids else "Leave it out"
        detail = (
            f"{refusals.quote(event.bundle_id)} does not belong to the app of this SDK key. "
            f"{instead}, or add it to the app under Apps."
        )
        errors.append(FieldError("/bundle_id", detail))
    return event.bundle_id


def _listed(reporter: Reporter) -> str:
    return ", ".join(reporter.bundle_ids[:_MOST_LISTED])


def _with_unknown_fields(
    own: Mapping[str, object], item: Mapping[str, object], warnings: dict[str, str]
) -> dict[str, object]:
    """Return an event's params and the fields that we don't know, and warn of these."""
    unknown = {name: value for name, value in item.items() if name not in FIELD_NAMES}
    for name in unknown:
        warnings[name] = UNKNOWN_LEFT_OUT if name in own else UNKNOWN_IN_PARAMS
    return {**unknown, **own}


def _mark(fields: dict[str, object], mark: str, name: str, value: str) -> None:
    marks = fields.get(mark)
    fields[mark] = {**marks, name: value} if isinstance(marks, dict) else {name: value}


def _amount(name: str, amount: Decimal | None, errors: list[FieldError]) -> Decimal | None:
    if amount is None:
        return None
    text = str(amount)  # quicker than its digits
    if len(text) <= _MOST_DECIMALS and "E" not in text and amount.is_finite():
        return amount
    _sign, _digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int) or exponent < -_MOST_DECIMALS or amount.adjusted() > 20:
        errors.append(FieldError(f"/{name}", refusals.not_exact(amount, _MOST_DECIMALS)))
        return None
    return amount


def _currency(event: EventFields, errors: list[FieldError]) -> str:
    if event.currency is None:
        return ""
    code = event.currency.upper()
    if code not in CURRENCIES:
        errors.append(FieldError("/currency", refusals.not_currency(event.currency)))
    return code


def _add_rare_fields(
    fields: dict[str, object], event: EventFields, warnings: dict[str, str]
) -> None:
    """Add the fields that few events have, and that are stored in another form than sent."""
    for name in _RARE:
        value = getattr(event, name)
        if value is None:
            continue
        if name in FLAGS:
            value = bool(value)
        elif name in TIMESTAMPS:
            value = str(value)
        fields[name] = value
    warnings |= _unread_times(event)


def _unread_times(event: EventFields) -> dict[str, str]:
    """Return a warning for each time of the install that nothing can read; 0 is none."""
    sent = {name: getattr(event, name) for name in TIMESTAMPS}
    return {
        name: f"{refusals.not_time(value)} It is kept, but attribution can't use it."
        for name, value in sent.items()
        if value is not None
        and str(value).strip() not in _NO_TIME
        and parse_timestamp(value) is None
    }


def _holds_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\x00" in value


def _holds_huge_number(params: Mapping[str, object]) -> bool:
    for value in params.values():  # nearly all are texts and small numbers
        if type(value) is str or (type(value) is int and -_HUGE < value < _HUGE):
            continue
        if next(_huge_numbers(value), None) is not None:
            return True
    return False


def _huge_numbers(value: object) -> Iterator[object]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _huge_numbers(part)
    if _is_huge_number(value):
        yield value


def _is_huge_number(value: object) -> bool:
    if isinstance(value, Decimal):
        _sign, digits, exponent = value.as_tuple()
        return len(digits) > 300 or not isinstance(exponent, int) or abs(exponent) > 300
    return isinstance(value, int) and abs(value) >= _HUGE
