"""Answers “was this rule on at 14:05 yesterday?” from the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps_registry.audit.actions import Action
from apps_registry.models import AuditEntry
from postbacks.models import CallbackRule, RuleStatus

_KIND = CallbackRule._meta.db_table


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change of a rule's status. `before` is None where the rule was created."""

    at: datetime
    by: str
    before: str | None
    after: str

    @property
    def words(self) -> str:
        """Return the verb of the change."""
        if self.before is None:
            return "created"
        if self.after == RuleStatus.ACTIVE:
            return "switched on"
        return {
            RuleStatus.SUSPENDED: "suspended",
            RuleStatus.ARCHIVED: "archived",
        }.get(RuleStatus(self.after), f"set to {RuleStatus(self.after).label.lower()}")


@dataclass(frozen=True, slots=True)
class RuleStatusAt:
    """The status of a rule at a moment; empty where the log can't tell.

    `last` is the change that set it, `following` the one that ended it.
    """

    rule: CallbackRule
    moment: datetime
    status: str
    last: StatusChange | None = None
    following: StatusChange | None = None
    log_begins_at: datetime | None = None

    @property
    def existed(self) -> bool:
        return self.rule.created_at <= self.moment

    @property
    def was_on(self) -> bool:
        return self.status == RuleStatus.ACTIVE

    @property
    def status_label(self) -> str:
        return str(RuleStatus(self.status).label).lower() if self.status else ""


def rule_status_at(rule: CallbackRule, moment: datetime) -> RuleStatusAt:
    """Return a rule's status at a moment, as far as the log goes back."""
    changes = _status_changes(rule)
    last = next((change for change in reversed(changes) if change.at <= moment), None)
    following = next((change for change in changes if change.at > moment), None)
    begins_at = log_begins_at()
    status = last.after if last else ""
    if last is None and begins_at is not None and begins_at <= moment:
        # The status stayed the same until the next change, or until now.
        status = (following.before or "") if following else rule.status
    if rule.created_at > moment and last is None:
        status = ""
    return RuleStatusAt(rule, moment, status, last, following, begins_at)


def log_begins_at() -> datetime | None:
    """Return the time of the audit log's first entry, None while it has none."""
    return AuditEntry.objects.order_by("at", "id").values_list("at", flat=True).first()


def statuses_at(kind: str, statuses: Mapping[str, str], moment: datetime) -> dict[str, str]:
    """Return the status that rows of a table had at a moment, by their ids in the audit log.

    `statuses` has each row's current one, which it had before too if the log names no change. Ask
    `log_begins_at` whether the log reaches back to the moment.
    """
    entries = AuditEntry.objects.filter(
        object_type=kind, object_id__in=statuses, changes__has_key="status"
    )
    last = entries.filter(at__lte=moment).order_by("object_id", "-at", "-id")
    following = entries.filter(at__gt=moment).order_by("object_id", "at", "id")
    before = {e.object_id: e.changes["status"][0] for e in following.distinct("object_id")}
    after = {e.object_id: e.changes["status"][1] for e in last.distinct("object_id")}
    return {id_: after.get(id_) or before.get(id_) or now for id_, now in statuses.items()}


def _status_changes(rule: CallbackRule) -> Sequence[StatusChange]:
    """Return a rule's changes of status, oldest first."""
    entries = AuditEntry.objects.filter(
        object_type=_KIND, object_id=str(rule.public_id), changes__has_key="status"
    ).order_by("at", "id")
    return [
        StatusChange(
            at=entry.at,
            by=entry.actor_name,
            before=None if entry.action == Action.CREATED else entry.changes["status"][0],
            after=entry.changes["status"][1],
        )
        for entry in entries
    ]
