"""Marks devices of testers, by any of their ids in any spelling, without keeping the ids."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from postbacks.infrastructure.database.jobs import take_turns
from postbacks.infrastructure.database.statements import run
from postbacks.models import Event, Install, Postback
from postbacks.models.test_devices import FEWEST_DAYS, MOST_DAYS, MOST_MARKS, TestDevice
from postbacks.privacy.requests import id_error
from postbacks.privacy.tombstones import CUSTOMER, id_identifier, identifiers_by_kind
from postbacks.values import identifiers
from postbacks.values.refusals import no_room

# An install is judged again for a day; the mark that it was credited with is still there then.
KEPT_AFTER_END = timedelta(days=2)

_EVERY_APP = 0  # stands in a key for an app: a tester's device is the same in all of them
_ENDING_SHOWN_FROM = 12  # characters; four of a shorter id would reveal too much


def device_error(kind: str, value: object) -> str:
    """Return why an id can't name a test device, and what to send; "" if it can."""
    if error := id_error(value):
        return error
    if identifiers.is_malformed(kind, str(value)):
        return (
            f"“{value}” is not an ID of this kind. Write it as the device shows it, for example "
            "38400000-8cf0-11bd-b23e-10b96e40000d."
        )
    return ""


def days_error(days: int) -> str:
    """Return why a mark can't last so long; "" if it can."""
    if FEWEST_DAYS <= days <= MOST_DAYS:
        return ""
    return f"{days} days are not possible. Write a number from {FEWEST_DAYS} to {MOST_DAYS}."


def mark_error(kind: str, value: str) -> str:
    """Return why the current organization can't mark a device now; "" if it can."""
    now = timezone.now()
    marked = TestDevice.objects.filter(key=mark_key(kind, value), ends_at__gt=now).first()
    if marked is not None:
        until = f"{marked.ends_at:%Y-%m-%d %H:%M} UTC"
        return f"This device is marked already, as “{marked.name}” until {until}. Remove it first."
    take_turns("test_device")
    count = TestDevice.objects.filter(ends_at__gt=now).count()
    return no_room(count, MOST_MARKS, "test devices", "Remove some first.")


def mark_device(row: TestDevice, *, kind: str, value: str, days: int) -> None:
    """Save a mark of a device in the current organization; one that has ended gives way to it.

    A second request at the same moment gets the mark that the first has made, in `row`.
    """
    row.kind, row.key = kind, mark_key(kind, value)
    text = value.strip()
    row.ending = text[-4:] if len(text) >= _ENDING_SHOWN_FROM else ""
    row.created_at = timezone.now()
    row.ends_at = row.created_at + timedelta(days=days)
    with transaction.atomic():
        TestDevice.objects.filter(key=row.key, ends_at__lte=row.created_at).delete()
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:
            made_by_first = TestDevice.objects.filter(key=row.key).first()
            if made_by_first is None:
                raise
            row.__dict__.update(made_by_first.__dict__)


def mark_key(kind: str, value: str) -> UUID:
    """Return the key of a device's mark by one id, the same for every spelling."""
    return identifiers.key_of(_EVERY_APP, id_identifier(kind, value))


def mark_keys(fields: Mapping[str, Any]) -> set[UUID]:
    """Return the keys under which the device of an event may be marked."""
    return set(identifiers.keys_of(_EVERY_APP, identifiers_by_kind(fields).values()))


def load_marks() -> dict[UUID, str]:
    """Return the names of the current organization's test devices of now by their keys."""
    marks = TestDevice.objects.filter(ends_at__gt=timezone.now())
    return dict(marks.values_list("key", "name")[:MOST_MARKS])


def mark_of(fields: Mapping[str, Any], marks: Mapping[UUID, str]) -> str:
    """Return the name of the test device that an event's fields name, "" for any other device."""
    keys = mark_keys(fields) if marks else ()
    return next((marks[key] for key in keys if key in marks), "")


def marks_of_events(events: Iterable[Event]) -> dict[int, str]:
    """Return the names of the test devices that reported events, by the events' keys."""
    marks = load_marks()
    names = {event.pk: mark_of(ids_of(event), marks) for event in events if marks}
    return {key: name for key, name in names.items() if name}


def marks_of_postbacks(postbacks: Sequence[Postback]) -> dict[int, str]:
    """Return the names of the test devices to whose events postbacks belong, by those events."""
    moments = [postback.event_received_at for postback in postbacks if postback.event_id]
    if not moments or not TestDevice.objects.filter(ends_at__gt=timezone.now()).exists():
        return {}
    events = Event.objects.filter(  # reads no more days than the page has
        received_at__range=(min(moments), max(moments)),
        pk__in=[postback.event_id for postback in postbacks if postback.event_id],
    ).only("organization_id", "received_at", "customer_user_id", "fields")
    return marks_of_events(events)


def marks_of_installs(installs: Sequence[Install]) -> dict[int, str]:
    """Return the names of the test devices whose opening began installs, by the installs' keys."""
    if not installs or not TestDevice.objects.filter(ends_at__gt=timezone.now()).exists():
        return {}
    moments = [install.event_received_at for install in installs]
    events = Event.objects.filter(
        received_at__range=(min(moments), max(moments)),
        pk__in=[install.event_ref for install in installs],
    ).only("organization_id", "received_at", "customer_user_id", "fields")
    marks = marks_of_events(events)
    return {
        install.pk: marks[install.event_ref] for install in installs if install.event_ref in marks
    }


def ids_of(event: Event) -> dict[str, Any]:
    """Return the fields of an event with the customer's id among them."""
    return {**event.fields, CUSTOMER: event.customer_user_id or None}


def unmark_device(organization_id: int, ids: Iterable[tuple[str, str]]) -> None:
    """Delete the marks of a device that is being forgotten."""
    run(
        "DELETE FROM test_device WHERE organization_id = %(organization)s AND key = ANY(%(keys)s)",
        {"organization": organization_id, "keys": [mark_key(*id_) for id_ in ids]},
    )


def delete_ended_marks(limit: int = 5_000) -> int:
    """Delete a batch of marks that ended some days ago; return how many."""
    return run(
        "DELETE FROM test_device WHERE ctid IN (SELECT ctid FROM test_device "
        "WHERE ends_at < now() - %s LIMIT %s)",
        [KEPT_AFTER_END, limit],
    )
