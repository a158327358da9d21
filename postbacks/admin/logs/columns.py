"""The columns of the files that people export from the logs: UTC times and public ids."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from apps_registry.admin_base import audit_wording
from apps_registry.csv_format import ColumnType
from apps_registry.models import AuditEntry
from postbacks.admin.logs.postback_detail import error_text, outcome_badge
from postbacks.insights import wording
from postbacks.intake.events.device_clock import CORRECTED_BY
from postbacks.models import (
    DecisionFailure,
    DeliveryAttempt,
    Discrepancy,
    DiscrepancyLine,
    DiscrepancyOutcome,
    Event,
    Export,
    Install,
    Postback,
    RefusedEvent,
    SkanPostback,
)
from postbacks.values.attribution import ORGANIC

Columns = Mapping[str, Callable[[Any], object]]


# Of the logs that workers export; what is not named here is text.
_TYPES = {
    **dict.fromkeys(
        ("Event received", "Received", "Happened", "Started", "Installed", "Touched", "When"),
        ColumnType.TIME,
    ),
    **dict.fromkeys(("Delivered", "Next try", "Finished"), ColumnType.TIME),
    **dict.fromkeys(("Revenue", "Least revenue", "Most revenue"), ColumnType.MONEY),
    **dict.fromkeys(
        ("HTTP", "Tries", "Try", "Took (ms)", "Time corrected by (seconds)", "Conversion value"),
        ColumnType.INTEGER,
    ),
    **dict.fromkeys(("Won", "Redownload"), ColumnType.BOOLEAN),
}


def column_type(heading: str) -> ColumnType:
    """Return what a log's column holds."""
    return _TYPES.get(heading, ColumnType.TEXT)


_ATTRIBUTION_LABELS = {"click": "Click", "impression": "Impression", ORGANIC: "Organic"}


def attribution_label(install: Install) -> str:
    stored = install.attribution_type
    return _ATTRIBUTION_LABELS.get(stored, stored.replace("_", " ").capitalize())


def _partner(postback: Postback) -> str:
    return str(postback.rule.partner or "")


def _received(row: Event | DecisionFailure | SkanPostback | RefusedEvent) -> object:
    return row.received_at


def _lines_with(outcome: str, row: Discrepancy) -> object:
    return row.counts.get(outcome, 0)


POSTBACKS: Columns = {
    "ID": lambda row: row.public_id,
    "Event received": lambda row: row.event_received_at,
    "Status": Postback.get_status_display,
    "Reason": lambda row: row.reason,
    "HTTP": lambda row: row.last_status_code,
    "Event": lambda row: row.event_name,
    "Event ID": lambda row: row.sdk_event_id,
    "Rule": lambda row: row.rule,
    "Partner": _partner,
    "App": lambda row: row.app,
    "Tries": lambda row: row.attempts_made,
    "Test": lambda row: "yes" if row.test else "no",
    "Delivered": lambda row: row.delivered_at,
    "Next try": lambda row: row.next_attempt_at,
}

REPLAYS: Columns = {
    "ID": lambda row: row.public_id,
    "Started": lambda row: row.created_at,
    "Started by": lambda row: row.asked_by,
    "Status": lambda row: row.status.label,
    "Postbacks": lambda row: row.count,
    "Delivered": lambda row: sum(part.sent for part in row.parts.all()),
    "Given up": lambda row: sum(part.failed for part in row.parts.all()),
    "Finished": lambda row: row.finished_at,
}

EXPORTS: Columns = {
    "ID": lambda row: row.public_id,
    "Started": lambda row: row.created_at,
    "Started by": lambda row: row.asked_by,
    "List": lambda row: row.title,
    "Format": Export.get_format_display,
    "Status": Export.get_status_display,
    "Rows": lambda row: row.rows,
    "Bytes": lambda row: row.size,
    "Kept until": lambda row: row.expires_at,
}

DISCREPANCIES: Columns = {
    "ID": lambda row: row.public_id,
    "Started": lambda row: row.created_at,
    "Started by": lambda row: row.asked_by,
    "Partner": lambda row: row.partner,
    "Status": Discrepancy.get_status_display,
    "Lines": lambda row: row.total,
    **{outcome.label: partial(_lines_with, outcome) for outcome in DiscrepancyOutcome},
    "Kept until": lambda row: row.expires_at,
}

DISCREPANCY_LINES: Columns = {
    "Line": lambda row: row.number or None,
    "ID": lambda row: row.partner_id_text,
    "Outcome": DiscrepancyLine.get_outcome_display,
    "Reason": lambda row: row.reason,
    "Why": lambda row: row.detail,
    "Their time": lambda row: row.at,
    "Their amount": lambda row: None if row.amount is None else row.amount.normalize(),
    "Their currency": lambda row: row.currency,
    "Event": lambda row: row.event_name,
    "Event ID": lambda row: row.sdk_event_id,
    "Postback ID": lambda row: row.postback_public_id,
    "Delivered": lambda row: row.sent_at,
    "HTTP": lambda row: row.status_code,
    "Our amount": lambda row: None if row.our_amount is None else row.our_amount.normalize(),
    "Our currency": lambda row: row.our_currency,
    "Amounts differ": lambda row: "yes" if row.differs else "no",
}

EVENTS: Columns = {
    "Event ID": lambda row: row.event_id,
    "Received": _received,
    "Happened": lambda row: row.event_time,
    "Event": lambda row: row.event_name,
    "App": lambda row: row.app,
    "Platform": wording.platform,
    "Customer": lambda row: row.customer_user_id,
    "Revenue": lambda row: None if row.revenue is None else row.revenue.normalize(),
    "Currency": lambda row: row.currency,
    "Reported by": Event.get_source_display,
    "Time corrected by (seconds)": lambda row: row.fields.get(CORRECTED_BY),
}

ATTEMPTS: Columns = {
    "Started": lambda row: row.started_at,
    "Event received": lambda row: row.event_received_at,
    "Outcome": lambda row: outcome_badge(row).text,
    "Error": error_text,
    "HTTP": lambda row: row.status_code,
    "Try": lambda row: row.number,
    "Kind": DeliveryAttempt.get_kind_display,
    "Took (ms)": lambda row: row.duration_ms,
    "DNS (ms)": lambda row: row.timings and row.timings.dns_ms,
    "Connect (ms)": lambda row: row.timings and row.timings.connect_ms,
    "TLS (ms)": lambda row: row.timings and row.timings.tls_ms,
    "First byte (ms)": lambda row: row.timings and row.timings.first_byte_ms,
    "Postback ID": lambda row: row.postback.public_id,
}


INSTALLS: Columns = {
    "ID": lambda row: row.public_id,
    "Received": lambda row: row.event_received_at,
    "Installed": lambda row: row.installed_at,
    "App": lambda row: row.app,
    "Kind": Install.get_kind_display,
    "Device": lambda row: row.device,
    "Install ID": lambda row: row.install_id,
    "Attribution": attribution_label,
    "Method": lambda row: row.method,
    "Partner": lambda row: row.partner,
    "Campaign": lambda row: row.campaign,
    "Link": lambda row: row.link,
    "Touchpoint": lambda row: row.touchpoint,
    "Touched": lambda row: row.touched_at,
    "State": Install.get_state_display,
}

TOUCHPOINTS: Columns = {
    "ID": lambda row: row.touchpoint.public_id,
    "Received": lambda row: row.touchpoint.received_at,
    "Happened": lambda row: row.touchpoint.occurred_at,
    "Kind": lambda row: row.touchpoint.get_kind_display(),
    "Reported by": lambda row: row.touchpoint.get_source_display(),
    "App": lambda row: row.touchpoint.app,
    "Partner": lambda row: row.touchpoint.partner,
    "Campaign": lambda row: row.touchpoint.campaign,
    "Link": lambda row: row.touchpoint.link,
    "Network's click ID": lambda row: row.touchpoint.click_id,
    "Site": lambda row: row.touchpoint.site_id,
    "Country": lambda row: row.touchpoint.country,
    "IP address": lambda row: row.touchpoint.ip_address,
    "User agent": lambda row: row.touchpoint.user_agent,
    "Outcome": lambda row: row.outcome.status.label,
    "Reason": lambda row: row.outcome.reason,
    "Install": lambda row: row.outcome.install and row.outcome.install.public_id,
}

REFUSALS: Columns = {
    "ID": lambda row: row.public_id,
    "Received": _received,
    "App": lambda row: row.app,
    "SDK key": lambda row: row.sdk_key,
    "Address": RefusedEvent.get_door_display,
    "HTTP": lambda row: row.status_code,
    "Reason": lambda row: row.reason,
    "Field": lambda row: row.pointer,
    "Event": lambda row: row.event_name,
    "SDK version": lambda row: row.sdk_version,
    "Answer": lambda row: " ".join(error.get("detail", "") for error in row.error_views),
    "What arrived": lambda row: row.content,
}

COPIES: Columns = {
    "ID": lambda row: row.public_id,
    "Received": _received,
    "App": lambda row: row.app,
    "Framework": SkanPostback.get_protocol_display,
    "Version": lambda row: row.version,
    "Network": lambda row: row.network_id,
    "Partner": lambda row: str(row.partner or ""),
    "Transaction": lambda row: row.transaction_id,
    "Postback": lambda row: row.sequence,
    "Signature": SkanPostback.get_signature_state_display,
    "Duplicate of": lambda row: row.duplicate_of,
    "Source identifier": lambda row: row.source_identifier,
    "Campaign ID": lambda row: row.campaign_id,
    "Won": lambda row: row.did_win,
    "Redownload": lambda row: row.redownload,
    "Conversion value": lambda row: row.conversion_value,
    "Coarse value": lambda row: row.coarse_value,
    "Country": lambda row: row.country,
    "Event": lambda row: row.event_name,
    "Least revenue": lambda row: row.least_revenue,
    "Most revenue": lambda row: row.most_revenue,
    "Currency": lambda row: row.currency,
}

FAILURES: Columns = {
    "Event received": _received,
    "What went wrong": lambda row: row.error,
    "Tries": lambda row: row.tries,
    "Next try": lambda row: row.next_try_at,
}

AUDIT_LOG: Columns = {
    "ID": lambda row: row.public_id,
    "When": lambda row: row.at,
    "Who": lambda row: row.actor_name,
    "Through": AuditEntry.get_door_display,
    "IP address": lambda row: row.ip_address,
    "What": lambda row: row.action_label,
    "Of what": lambda row: row.object_name,
    "Kind": lambda row: audit_wording.object_type_label(row.object_type),
    "Its ID": lambda row: row.object_id,
    "From → to": audit_wording.changes_as_text,
}
