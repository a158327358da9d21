"""The audit log as people look at it: what can be asked of it, and one page of the answer."""

from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Q

from apps_registry.models import AuditEntry
from postbacks.insights.keyset import Cursor, KeysetPage, Log
from postbacks.insights.logs import Span


@dataclass(frozen=True, slots=True)
class EntriesWanted:
    """What is asked of the audit log. `text` is part of a row's name, `who` of an actor's."""

    span: Span = field(default_factory=Span)
    text: str = ""
    who: str = ""
    action: str = ""
    object_type: str = ""
    object_id: UUID | None = None


def audit_log(wanted: EntriesWanted, cursor: Cursor) -> KeysetPage[AuditEntry]:
    """Return a page of entries, newest first."""
    span = wanted.span.within(AuditEntry.objects.all(), "at")
    conditions = {
        "object_name__icontains": wanted.text,
        "actor_name__icontains": wanted.who,
        "action": wanted.action,
        "object_type": wanted.object_type,
    }
    asked = {name: value for name, value in conditions.items() if value}
    rows = span.filter(Q(**asked))
    if wanted.object_id:
        rows = rows.filter(object_id=str(wanted.object_id))
    is_search = bool(asked) and wanted.object_id is None
    return Log(rows=rows, time_key="at", span=span if is_search else None).page(cursor)
