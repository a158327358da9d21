"""Empties the data of a device, in small transactions: any may be the last before a kill.

A device's rows are found by its device key, which each batch replaces last, so that the rows that a
killed worker has left are found again. Lists name the fields that stay: a field that is added
tomorrow is emptied without being listed.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date
from itertools import chain
from uuid import UUID

import msgspec
from django.db import transaction
from django.http import QueryDict

from apps_registry.audit.audited_model import may_name_a_person
from apps_registry.crypto.encryption import SecretUnreadableError, decrypt
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import rows, run
from postbacks.models import (
    Discrepancy,
    DiscrepancyLine,
    EventSource,
    Export,
    FigureKind,
    InstallState,
    JobStatus,
    PostbackStatus,
    SkipReason,
    TestSend,
)
from postbacks.privacy import tombstones
from postbacks.privacy.device import DeviceRows
from postbacks.values.outgoing_request import RenderedPostback

BATCH = 500

_KEPT_FIELDS = ["price", "quantity", "country"]
_KEPT_FACTS = [
    "type",
    "method",
    "partner",
    "partner_id",
    "partner_name",
    "campaign_id",
    "campaign_name",
    "creative_name",
    "tracker_id",
    "tracker_name",
    "site_id",
    "touched_at",
    "install_kind",
    "first_installed_at",
    "acquired_at",
    "reinstalled_at",
    "reattributed_at",
]
_KEPT_CANDIDATES = [
    "reason",
    "sentence",
    "kind",
    "source",
    "method",
    "partner",
    "partner_name",
    "campaign",
    "campaign_name",
    "occurred_at",
    "touched_at",
]

_DEQUEUE_EVENTS = load_sql("postbacks.privacy", "dequeue_events", EventSource, FigureKind)
_DELETE_IDENTIFIERS = load_sql("postbacks.privacy", "delete_identifiers")
_EMPTY_ATTRIBUTIONS = load_sql("postbacks.privacy", "empty_attributions")

_EVENTS = """
SELECT id, event_id, received_at FROM event
WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = %(name)s
ORDER BY id LIMIT %(batch)s
"""
_LOCK_UNDECIDED = """
SELECT id FROM undecided_event
WHERE organization_id = %(organization)s AND id = ANY(%(ids)s) ORDER BY id FOR UPDATE
"""
_EMPTY_EVENTS = """
UPDATE event SET device = %(stand_in)s, customer_user_id = '', params = '{}',
    fields = (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(fields)
              WHERE key = ANY(%(kept)s))
WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)
  AND received_at BETWEEN %(first)s AND %(last)s
"""
# A test send bears the event's id and the time of the test, which is later.
_POSTBACKS = """
SELECT id, event_received_at FROM postback
WHERE organization_id = %(organization)s AND sdk_event_id = ANY(%(event_ids)s)
  AND event_received_at >= %(first)s
"""
_LOCK_DUE = """
SELECT postback_id FROM due_postback WHERE postback_id = ANY(%(postbacks)s)
ORDER BY postback_id FOR UPDATE
"""
_DELETE_HELD = "DELETE FROM held_postback WHERE postback_id = ANY(%(postbacks)s)"
_SKIP = f"""
UPDATE postback SET status = '{PostbackStatus.SKIPPED}', reason = '{SkipReason.ERASED}',
    next_attempt_at = NULL
WHERE organization_id = %(organization)s AND id = ANY(%(postbacks)s)
  AND event_received_at BETWEEN %(first)s AND %(last)s AND status = '{PostbackStatus.PENDING}'
"""  # noqa: S608  # our own words
_EMPTY_POSTBACKS = """
UPDATE postback SET fingerprint = '', other_fingerprints = NULL
WHERE organization_id = %(organization)s AND id = ANY(%(postbacks)s)
  AND event_received_at BETWEEN %(first)s AND %(last)s
"""
_EMPTY_ATTEMPTS = """
UPDATE delivery_attempt SET request = '{}', response = '{}', detail = ''
WHERE organization_id = %(organization)s AND postback_id = ANY(%(postbacks)s)
  AND event_received_at BETWEEN %(first)s AND %(last)s
"""

# The event of a test may have been given with it and stored nowhere: its text is searched.
_TESTS_OF_DAY = """
SELECT tested.id, tested.event_received_at FROM postback AS tested
WHERE tested.organization_id = %(organization)s AND tested.test
  AND (tested.app_id = %(app)s OR tested.app_id IS NULL)
  AND tested.event_received_at >= %(day)s AND tested.event_received_at < %(day)s::date + 1
  AND EXISTS (
    SELECT 1 FROM delivery_attempt AS attempt, unnest(%(texts)s::text[]) AS device_text
    WHERE attempt.organization_id = tested.organization_id AND attempt.postback_id = tested.id
      AND attempt.event_received_at = tested.event_received_at
      AND strpos(lower(concat(attempt.request, attempt.response, attempt.detail)), device_text) > 0)
"""

# What trials of rules keep for a while. A test that a worker is sending ends without its row.
_DELETE_TESTS = """
DELETE FROM test_send
WHERE organization_id = %(organization)s AND sdk_event_id = ANY(%(event_ids)s)
"""
# Locked first: a dry run that is reading its examples just now stores them before they are looked
# at, and one that has not read them yet will find the events empty.
_LOCK_DRY_RUNS = """
SELECT id FROM dry_run_job WHERE organization_id = %(organization)s ORDER BY id FOR UPDATE
"""
_EMPTY_DRY_RUNS = """
UPDATE dry_run_job SET examples = '[]'
WHERE organization_id = %(organization)s AND EXISTS (
    SELECT FROM jsonb_array_elements(examples) AS example
    WHERE example ->> 'event_id' = ANY(%(event_ids)s::text[]))
"""
_LOCK_TESTS = """
SELECT id, public_id, made_at, sealed, concat(result, skips) FROM test_send
WHERE organization_id = %(organization)s ORDER BY id FOR UPDATE
"""
_POSTBACKS_OF_TESTS = """
SELECT id, event_received_at FROM postback
WHERE organization_id = %(organization)s AND test AND public_id = ANY(%(tests)s)
  AND event_received_at BETWEEN %(first)s AND %(last)s
"""

_TOUCHPOINTS = """
SELECT id, received_at, ARRAY(SELECT jsonb_array_elements_text(names)) FROM touchpoint
WHERE organization_id = %(organization)s AND app_id = %(app)s AND names <> '[]' AND (
    public_id = ANY(%(touches)s::uuid[])
    OR id IN (
        SELECT touchpoint_id FROM touchpoint_key
        WHERE organization_id = %(organization)s AND app_id = %(app)s
          AND key = ANY(%(keys)s::uuid[])
    )
)
ORDER BY id LIMIT %(batch)s
"""
_DELETE_KEYS = """
DELETE FROM touchpoint_key
WHERE organization_id = %(organization)s AND app_id = %(app)s AND key = ANY(%(keys)s::uuid[])
  AND touchpoint_id = ANY(%(ids)s)
"""
_EMPTY_TOUCHPOINTS = """
UPDATE touchpoint SET names = '[]', params = '{}', click_id = '', ip_address = '', sender = '',
    user_agent = '', os_name = '', os_version = '', device_model = '', language = ''
WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)
  AND received_at BETWEEN %(first)s AND %(last)s
"""

_DELETE_REFUSED = """
DELETE FROM refused_event
WHERE organization_id = %(organization)s AND app_id = %(app)s AND keys && %(keys)s::uuid[]
"""

# The queues first, in the order of the workers on them: no deadlock. Then its installs are locked,
# so that none is reevaluated while it is being emptied.
_OWN = """
    SELECT id FROM install
    WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = %(name)s
"""
_DELETE_CLAIMS = f"DELETE FROM adservices_claim WHERE install_id IN ({_OWN})"  # noqa: S608  # ours
_DEQUEUE_INSTALLS = f"DELETE FROM unsettled_install WHERE install_id IN ({_OWN})"  # noqa: S608  # ours
_INSTALLS = """
SELECT id FROM install
WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = %(name)s
ORDER BY id FOR UPDATE
"""
# The install numbers of a device that came in again while it was being emptied continue.
_EMPTY_INSTALLS = f"""
UPDATE install SET device = %(stand_in)s, install_id = '', consent = '{{}}', touchpoint = NULL,
    state = '{InstallState.FINAL}',
    number = number + (SELECT coalesce(max(number), 0) FROM install AS other
        WHERE other.organization_id = %(organization)s AND other.app_id = %(app)s
          AND other.device = %(stand_in)s)
WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)
"""  # noqa: S608  # our own word

_FIRST_TIMES = """
organization_id = %(organization)s AND device = %(name)s AND rule_id = ANY(ARRAY(
    SELECT id FROM callback_rule WHERE organization_id = %(organization)s))
"""
_COPY_FIRST_TIMES = f"""
INSERT INTO rule_device (organization_id, rule_id, device)
SELECT organization_id, rule_id, %(stand_in)s FROM rule_device WHERE {_FIRST_TIMES}
ON CONFLICT DO NOTHING
"""  # noqa: S608  # our own words
_DELETE_FIRST_TIMES = f"DELETE FROM rule_device WHERE {_FIRST_TIMES}"  # noqa: S608  # likewise

Counts = Counter[str]


def empty_events(device: DeviceRows, device_key: str, stand_in: str, batch: int = BATCH) -> Counts:
    """Empty a batch of the events with a key of the device; count nothing when all are empty.

    Their pending postbacks are skipped: no data are left to send. A postback that a worker is
    sending at this moment may still arrive; its attempt is not logged any more.
    """
    with transaction.atomic():
        events = rows(_EVENTS, {**device.app_parameters, "name": device_key, "batch": batch})
        if not events:
            return Counter()
        ids, event_ids, moments = (list(column) for column in zip(*events, strict=True))
        bounds = {
            "first": min(moments),
            "last": max(moments),
            "organization": device.organization_id,
        }
        # Locked in the order of all workers; the later statements see what these write meanwhile.
        of_organization = {"ids": ids, "organization": device.organization_id}
        rows(_LOCK_UNDECIDED, of_organization)
        run(_DEQUEUE_EVENTS, {**bounds, "ids": ids})
        _empty_trials({**of_organization, "event_ids": event_ids})
        counts = _empty_postbacks({**bounds, "event_ids": event_ids})
        counts["event"] = run(
            _EMPTY_EVENTS,
            {**bounds, "ids": ids, "stand_in": stand_in, "kept": _KEPT_FIELDS},
        )
        return counts


def _empty_trials(values: Mapping[str, object]) -> None:
    """Empty what tests and dry runs keep of events: first, in the order of a test's sender."""
    run(_DELETE_TESTS, values)
    rows(_LOCK_DRY_RUNS, values)
    run(_EMPTY_DRY_RUNS, values)


def _empty_postbacks(values: Mapping[str, object], statement: str = _POSTBACKS) -> Counts:
    postbacks = rows(statement, values)
    if not postbacks:
        return Counter()
    ids, moments = (list(column) for column in zip(*postbacks, strict=True))
    values = {**values, "postbacks": ids, "first": min(moments), "last": max(moments)}
    # A postback may just be moving from one queue to the other: held ones are looked for twice.
    run(_DELETE_HELD, values)
    rows(_LOCK_DUE, values)
    run("DELETE FROM due_postback WHERE postback_id = ANY(%(postbacks)s)", values)
    run(_DELETE_HELD, values)
    return Counter(
        skipped=run(_SKIP, values),
        postback=run(_EMPTY_POSTBACKS, values),
        delivery_attempt=run(_EMPTY_ATTEMPTS, values),
    )


def empty_tests_of_day(device: DeviceRows, day: date) -> Counts:
    """Empty the attempts of a day's test sends that name the device."""
    texts = device.texts()
    values: dict[str, object] = {**device.app_parameters, "day": day, "texts": texts}
    tests = rows(_TESTS_OF_DAY, values) if texts else []
    if not tests:
        return Counter()
    ids, moments = (list(column) for column in zip(*tests, strict=True))
    values |= {"postbacks": ids, "first": min(moments), "last": max(moments)}
    return Counter(
        postback=run(_EMPTY_POSTBACKS, values), delivery_attempt=run(_EMPTY_ATTEMPTS, values)
    )


def delete_exports(device: DeviceRows) -> None:
    """Delete the files that may hold the device, and the filters that may name it.

    Files that are being written, and those in the operator's folder, begin again: the rows are
    empty by now.
    """
    with tenant(device.organization_id):
        for export in Export.objects.select_for_update().filter(holds_devices=True).order_by("pk"):
            export.delete_files()
            if may_name_a_person(QueryDict(export.filters)):
                export.filters = ""
                export.status = JobStatus.ERASED
            elif export.is_running or export.delivered_path is not None:
                export.status, export.finished_at = JobStatus.RUNNING, None
                export.begin_again()
            elif export.status == JobStatus.FINISHED and export.schedule_id is None:
                export.status = JobStatus.ERASED
            export.save()


def delete_discrepancies(device: DeviceRows) -> None:
    """Delete the lines of partners' lists: clicks and transactions in them may be the device's."""
    with tenant(device.organization_id):
        for discrepancy in Discrepancy.objects.select_for_update().order_by("pk"):
            DiscrepancyLine.objects.filter(discrepancy=discrepancy).delete()
            discrepancy.text = ""
            discrepancy.readings, discrepancy.remarks = [], []
            discrepancy.status = JobStatus.ERASED
            discrepancy.save()


def forget_tests(device: DeviceRows) -> Counts:
    """Delete the tests of the last minutes that name the device, and empty what the log has.

    A worker may be sending one at this moment: its answer is logged nowhere.
    """
    texts = device.texts()
    with transaction.atomic():
        named = [
            (id_, public_id, made_at)
            for id_, public_id, made_at, sealed, stored in rows(_LOCK_TESTS, device.app_parameters)
            if _names_any(texts, _opened(device, public_id, sealed) + stored)
        ]
        if not named:
            return Counter()
        ids, public_ids, moments = (list(column) for column in zip(*named, strict=True))
        run("DELETE FROM test_send WHERE id = ANY(%(ids)s)", {"ids": ids})
        values = {
            **device.app_parameters,
            "tests": public_ids,
            "first": min(moments),
            "last": max(moments),
        }
        return _empty_postbacks(values, _POSTBACKS_OF_TESTS)


def _opened(device: DeviceRows, public_id: UUID, sealed: str) -> str:
    """Return the request of a test that is not sent yet, in plain text."""
    if not sealed:
        return ""
    test = TestSend(organization_id=device.organization_id, public_id=public_id)
    try:
        opened = decrypt(sealed, context=test.seal_context)
    except SecretUnreadableError:
        return ""
    rendering = msgspec.json.decode(opened, type=RenderedPostback).rendering
    if rendering is None:
        return ""
    request = rendering.request
    return f"{request.url} {request.headers} {(request.body or b'').decode(errors='replace')}"


def _names_any(texts: Collection[str], text: str) -> bool:
    lowered = text.lower()
    return any(device_text in lowered for device_text in texts)


def empty_touchpoints(device: DeviceRows, batch: int = BATCH) -> Counts:
    """Empty a batch of the touchpoints that the device's identifiers lead to."""
    with transaction.atomic():
        touchpoints = rows(
            _TOUCHPOINTS,
            {
                **device.app_parameters,
                "keys": device.keys(),
                "touches": sorted(device.touches),
                "batch": batch,
            },
        )
        if not touchpoints:
            return Counter()
        ids, moments, identifiers = (list(column) for column in zip(*touchpoints, strict=True))
        values = {
            **device.app_parameters,
            "ids": ids,
            "first": min(moments),
            "last": max(moments),
            "keys": device.keys_of(chain.from_iterable(identifiers)),
        }
        run(_DELETE_KEYS, values)
        return Counter(touchpoint=run(_EMPTY_TOUCHPOINTS, values))


def empty_installs(device: DeviceRows, device_key: str, stand_in: str) -> Counts:
    """Empty the installs with a key of the device; their credits become final."""
    with transaction.atomic():
        device_values = {**device.app_parameters, "name": device_key}
        run(_DELETE_CLAIMS, device_values)
        run(_DEQUEUE_INSTALLS, device_values)
        installs = [install_id for (install_id,) in rows(_INSTALLS, device_values)]
        if not installs:
            return Counter()
        values = {**device_values, "ids": installs, "stand_in": stand_in}
        run("DELETE FROM install_key WHERE install_id = ANY(%(ids)s)", values)
        kept_fields = {"facts": _KEPT_FACTS, "candidates": _KEPT_CANDIDATES}
        attributions = run(_EMPTY_ATTRIBUTIONS, {**values, **kept_fields})
        return Counter(install=run(_EMPTY_INSTALLS, values), attribution=attributions)


def delete_refused(device: DeviceRows) -> Counts:
    """Delete what was refused of the device."""
    values = {**device.app_parameters, "keys": device.keys()}
    with transaction.atomic():
        return +Counter(refused_event=run(_DELETE_REFUSED, values))


def delete_identifiers(device: DeviceRows) -> None:
    """Delete the ids by which searches find the device; shared ones lead others' searches on."""
    ids = {tombstones.id_identifier(*id_) for id_ in device.named | device.ids}
    values = {"keys": device.keys_of(ids), "devices": sorted(device.devices)}
    run(_DELETE_IDENTIFIERS, {**device.app_parameters, **values})


def replace_in_rules(
    device: DeviceRows, device_key: str, stand_in: str, *, count_again: bool
) -> None:
    """Keep “first time per device” under the stand-in, or let it begin again."""
    values = {
        "organization": device.organization_id,
        "name": f"{device.app_id}:{device_key}",
        "stand_in": f"{device.app_id}:{stand_in}",
    }
    with transaction.atomic():
        if not count_again:
            run(_COPY_FIRST_TIMES, values)
        run(_DELETE_FIRST_TIMES, values)
