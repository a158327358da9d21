"""Empties what identifies a device, in small transactions: each may be the last before a kill.

A device's rows are found by its name, which is replaced last in each batch, so that whatever a
killed worker has left is found again. What is emptied is told from what stays by lists of what
stays: a field that is added tomorrow is emptied without being listed.
"""

from collections import Counter
from collections.abc import Mapping

from django.db import transaction

from postbacks.models import InstallState, PostbackStatus, SkipReason
from postbacks.privacy.device import DeviceRows
from postbacks.privacy.statements import rows, run

BATCH = 500

_KEPT_OF_FIELDS = ("price", "quantity", "country")
_KEPT_OF_FACTS = (
    "type", "method", "partner", "partner_id", "partner_name", "campaign_id", "campaign_name",
    "creative_name", "tracker_id", "tracker_name", "site_id", "touched_at", "install_kind",
    "first_installed_at", "acquired_at", "reinstalled_at", "reattributed_at",
)  # fmt: skip
_KEPT_OF_CANDIDATES = (
    "reason", "sentence", "kind", "source", "method", "partner", "partner_name", "campaign",
    "campaign_name",
    "occurred_at", "touched_at",
)  # fmt: skip

Counts = Counter[str]


def empty_events(device: DeviceRows, name: str, stand_in: str, batch: int = BATCH) -> Counts:
    """Empty a batch of the events that a name of the device is on; nothing counted: all are done.

    What is still owed for them is not sent: there are no data left. A postback that a worker has in
    its hands at this moment may still arrive; the attempt is not logged any more.
    """
    with transaction.atomic():
        events = rows(_EVENTS, {**device.place, "name": name, "batch": batch})
        if not events:
            return Counter()
        ids, event_ids, moments = (list(column) for column in zip(*events, strict=True))
        bounds = {
            "first": min(moments),
            "last": max(moments),
            "organization": device.organization_id,
        }
        # Locked in the order of all workers; what they make of them meanwhile is seen afterwards.
        rows(_LOCK_UNDECIDED, {"ids": ids})
        run("DELETE FROM undecided_event WHERE id = ANY(%(ids)s)", {"ids": ids})
        run("DELETE FROM decision_failure WHERE id = ANY(%(ids)s)", {"ids": ids})
        counts = _empty_postbacks({**bounds, "event_ids": event_ids})
        counts["event"] = run(
            _EMPTY_EVENTS,
            {**bounds, "ids": ids, "stand_in": stand_in, "kept": list(_KEPT_OF_FIELDS)},
        )
        return counts


def _empty_postbacks(values: Mapping[str, object]) -> Counts:
    postbacks = rows(_POSTBACKS, values)
    if not postbacks:
        return Counter()
    ids, moments = (list(column) for column in zip(*postbacks, strict=True))
    values = {**values, "postbacks": ids, "first": min(moments), "last": max(moments)}
    rows(_LOCK_DUE, values)
    run("DELETE FROM due_postback WHERE postback_id = ANY(%(postbacks)s)", values)
    return Counter(
        skipped=run(_SKIP, values),
        postback=run(_EMPTY_POSTBACKS, values),
        delivery_attempt=run(_EMPTY_ATTEMPTS, values),
    )


_EVENTS = """
SELECT id, event_id, received_at FROM event
WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = %(name)s
ORDER BY id LIMIT %(batch)s
"""
_LOCK_UNDECIDED = """
SELECT id FROM undecided_event WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE
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
_SKIP = f"""
UPDATE postback SET status = '{PostbackStatus.SKIPPED}', reason = '{SkipReason.ERASED}',
    next_attempt_at = NULL
WHERE organization_id = %(organization)s AND id = ANY(%(postbacks)s)
  AND event_received_at BETWEEN %(first)s AND %(last)s AND status = '{PostbackStatus.PENDING}'
"""  # noqa: S608  # our own words
_EMPTY_POSTBACKS = """
UPDATE postback SET fingerprint = ''
WHERE organization_id = %(organization)s AND id = ANY(%(postbacks)s)
  AND event_received_at BETWEEN %(first)s AND %(last)s
"""
_EMPTY_ATTEMPTS = """
UPDATE delivery_attempt SET request = '{}', response = '{}', detail = ''
WHERE organization_id = %(organization)s AND postback_id = ANY(%(postbacks)s)
  AND event_received_at BETWEEN %(first)s AND %(last)s
"""


def empty_touchpoints(device: DeviceRows, batch: int = BATCH) -> Counts:
    """Empty a batch of the touchpoints that the device's names lead to."""
    with transaction.atomic():
        found = rows(
            _TOUCHPOINTS,
            {
                **device.place,
                "keys": device.keys(),
                "touches": sorted(device.touches),
                "batch": batch,
            },
        )
        if not found:
            return Counter()
        ids, moments, names = (list(column) for column in zip(*found, strict=True))
        values = {
            **device.place,
            "ids": ids,
            "first": min(moments),
            "last": max(moments),
            "keys": device.keys_of(one for those in names for one in those),
        }
        run(_FORGET_KEYS, values)
        return Counter(touchpoint=run(_EMPTY_TOUCHPOINTS, values))


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
_FORGET_KEYS = """
DELETE FROM touchpoint_key
WHERE organization_id = %(organization)s AND app_id = %(app)s AND key = ANY(%(keys)s::uuid[])
  AND touchpoint_id = ANY(%(ids)s)
"""
_EMPTY_TOUCHPOINTS = """
UPDATE touchpoint SET names = '[]', params = '{}', click_id = '', ip_address = '',
    user_agent = '', os_name = '', os_version = '', device_model = '', language = ''
WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)
  AND received_at BETWEEN %(first)s AND %(last)s
"""


def empty_installs(device: DeviceRows, name: str, stand_in: str) -> Counts:
    """Empty the installs that a name of the device is on; their decisions are final."""
    with transaction.atomic():
        wanted = {**device.place, "name": name}
        run(_FORGET_CLAIMS, wanted)
        run(_SETTLE, wanted)
        installs = [one for (one,) in rows(_INSTALLS, wanted)]
        if not installs:
            return Counter()
        values = {**wanted, "ids": installs, "stand_in": stand_in}
        run("DELETE FROM install_key WHERE install_id = ANY(%(ids)s)", values)
        kept = {"facts": list(_KEPT_OF_FACTS), "candidates": list(_KEPT_OF_CANDIDATES)}
        attributions = run(_EMPTY_ATTRIBUTIONS, {**values, **kept})
        return Counter(install=run(_EMPTY_INSTALLS, values), attribution=attributions)


# The queues first, as those who work on them do: so nobody waits for the other in a ring. Then its
# installs are locked, so that none is looked at again while it is being emptied.
_OWN = """
    SELECT id FROM install
    WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = %(name)s
"""
_FORGET_CLAIMS = f"DELETE FROM adservices_claim WHERE install_id IN ({_OWN})"  # noqa: S608  # ours
_SETTLE = f"DELETE FROM unsettled_install WHERE install_id IN ({_OWN})"  # noqa: S608  # ours
_INSTALLS = """
SELECT id FROM install
WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = %(name)s
ORDER BY id FOR UPDATE
"""
# A device that came in again while it was being forgotten has its numbers go on.
_EMPTY_INSTALLS = f"""
UPDATE install SET device = %(stand_in)s, install_id = '', consent = '{{}}', touchpoint = NULL,
    state = '{InstallState.FINAL}',
    number = number + (SELECT coalesce(max(number), 0) FROM install AS known
        WHERE known.organization_id = %(organization)s AND known.app_id = %(app)s
          AND known.device = %(stand_in)s)
WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)
"""  # noqa: S608  # our own word


def _of_each(column: str) -> str:
    """Return SQL for what stays of each object in a list."""
    return f"""coalesce((
        SELECT jsonb_agg((
            SELECT coalesce(jsonb_object_agg(key, value), '{{}}')
            FROM jsonb_each(one) WHERE key = ANY(%(candidates)s)
        )) FROM jsonb_path_query({column}, '$[*] ? (@.type() == "object")') AS one
    ), '[]')"""  # noqa: S608  # our own word


_EMPTY_ATTRIBUTIONS = f"""
UPDATE attribution SET touchpoint = NULL, remarks = '[]',
    facts = (SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each(facts)
             WHERE key = ANY(%(facts)s)),
    candidates = {_of_each("candidates")},
    rejections = {_of_each("rejections")}
WHERE organization_id = %(organization)s AND install_id = ANY(%(ids)s)
"""  # noqa: S608  # our own words


def replace_in_rules(device: DeviceRows, name: str, stand_in: str, *, count_again: bool) -> None:
    """Keep “first time per device” as it is under the stand-in; or have it begin anew."""
    values = {
        "organization": device.organization_id,
        "name": f"{device.app_id}:{name}",
        "stand_in": f"{device.app_id}:{stand_in}",
    }
    with transaction.atomic():
        if not count_again:
            run(_SERVED_AS_STAND_IN, values)
        run(_SERVED_NO_MORE, values)


_SERVED = """
organization_id = %(organization)s AND device = %(name)s AND rule_id = ANY(ARRAY(
    SELECT id FROM callback_rule WHERE organization_id = %(organization)s))
"""
_SERVED_AS_STAND_IN = f"""
INSERT INTO rule_device (organization_id, rule_id, device)
SELECT organization_id, rule_id, %(stand_in)s FROM rule_device WHERE {_SERVED}
ON CONFLICT DO NOTHING
"""  # noqa: S608  # our own words
_SERVED_NO_MORE = f"DELETE FROM rule_device WHERE {_SERVED}"  # noqa: S608  # likewise
