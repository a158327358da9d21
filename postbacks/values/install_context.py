"""How an event's device stands to the app when rules are asked: its install, and whose it is."""

from postbacks.attribution.known_installs import KnownInstall
from postbacks.callbacks.credits import NOT_CREDITED, told_by
from postbacks.callbacks.decisions import Standing
from postbacks.models.stored import StoredEvent


def standing_of(event: StoredEvent, install: KnownInstall | None) -> Standing:
    """Return how an event's device stands to the app, by its install."""
    told = told_by(event)
    if install is None:  # a device without an id can't be known from before
        is_install = event.event_name == "install" and not event.device
        return Standing(began="install" if is_install else "", attribution=told or NOT_CREDITED)
    return Standing(
        began=install.kind if install.event_ref == event.id else "",
        installed_at=install.since,
        install_id=install.id or None,
        attribution_version=install.version,
        attribution=told or install.facts,
    )
