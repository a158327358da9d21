"""Records what people do besides changing rows: exports, visits, resends."""

from apps_registry.audit.actions import Action
from apps_registry.audit.recorded_model import AuditedModel, Changes, write_entry

__all__ = ["Action", "record"]


def record(
    action: Action,
    row: AuditedModel | None = None,
    *,
    changes: Changes | None = None,
    name: str = "",
) -> None:
    """Write into the current organization's audit log that the current actor did something.

    To a row, or where there is none to what `name` says, for example “delivery log”. `changes` are
    `{field: [from, to]}`; they must hold no secret. Raises WrongTenantError without a tenant.
    """
    write_entry(action, row, changes=changes, name=name)
