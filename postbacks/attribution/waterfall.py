"""③ Which touchpoint earned an install. Every install is organic until touchpoints are recorded."""

from dataclasses import dataclass
from datetime import datetime

ORGANIC = "organic"


@dataclass(frozen=True, slots=True)
class Credit:
    """What an install is credited to; `version` counts how often that was decided anew."""

    type: str = ORGANIC
    partner_id: int | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class InstallEvidence:
    """What is known of an install when its touchpoint is looked for."""

    installed_at: datetime
    device: str


def attribute(install: InstallEvidence) -> Credit:
    """Return the credit for an install; no touchpoints are recorded that could earn it."""
    return Credit()
