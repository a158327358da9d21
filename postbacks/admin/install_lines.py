"""An install as one line of a list, and as a row of the file that people export."""

from dataclasses import dataclass

from apps_registry.theme import Tone
from postbacks.models import Install, InstallState

ORGANIC = "organic"
_TYPES = {"click": "Click", "impression": "Impression", ORGANIC: "Organic"}


@dataclass(frozen=True, slots=True)
class InstallLine:
    """An install, and whom it is credited to."""

    install: Install
    type: str
    tone: Tone
    whose: str
    is_provisional: bool

    @classmethod
    def of(cls, install: Install) -> "InstallLine":
        """Return the line of an install."""
        is_organic = install.attribution_type == ORGANIC
        return cls(
            install=install,
            type=type_of(install),
            tone=Tone.STILL if is_organic else Tone.GOOD,
            whose=" · ".join(str(it) for it in (install.partner, install.campaign) if it),
            is_provisional=install.state == InstallState.PROVISIONAL,
        )


def type_of(install: Install) -> str:
    """Return what earned the install, in a word."""
    stored = install.attribution_type
    return _TYPES.get(stored, stored.replace("_", " ").capitalize())
