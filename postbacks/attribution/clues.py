"""③ Reads what an event tells of the install that it opens, and words the waterfall's reasons."""

from collections.abc import Iterator, Mapping

from postbacks.attribution.evidence import InstallEvidence
from postbacks.models.stored import StoredEvent
from postbacks.recognition import CLICK_ID, address_name, hashes_of_ids, name, names_of_ids


def read_install(event: StoredEvent, *, is_return: bool = False) -> InstallEvidence:
    """Return the evidence of an install, a reinstall, or an open after a long time."""
    return InstallEvidence(
        installed_at=event.event_time,
        device=event.device,
        platform=event.platform or event.app.platform,
        names=frozenset(_names(event.fields)),
        os_version=_text(event.fields, "os_version"),
        device_model=_text(event.fields, "device_model"),
        language=_text(event.fields, "language"),
        user_agent=_text(event.fields, "user_agent"),
        is_return=is_return,
    )


def of_reason(code: str) -> str:
    """Return a sentence for a candidate's reason, for example `older`."""
    return f"{code.replace('_', ' ').capitalize()}."


def _names(fields: Mapping[str, object]) -> Iterator[str]:
    yield from names_of_ids(fields)
    yield from hashes_of_ids(fields)
    if address := address_name(_text(fields, "ip_address")):
        yield address
    if click_id := _text(fields, "click_id"):
        yield name(CLICK_ID, click_id)


def _text(fields: Mapping[str, object], field: str) -> str:
    value = fields.get(field)
    return value if isinstance(value, str) else ""
