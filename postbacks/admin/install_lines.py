"""An install as one line of a list, and as a row of the file that people export."""

from dataclasses import dataclass

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin_base.theme import Tone
from postbacks.models import Install, InstallState

ORGANIC = "organic"
_TYPES = {"click": "Click", "impression": "Impression", ORGANIC: "Organic"}


@dataclass(frozen=True, slots=True)
class InstallLine:
    """An install, and whom it is credited to."""

    install: Install
    type: str
    tone: Tone
    whose: SafeString
    is_provisional: bool

    @classmethod
    def of(cls, install: Install) -> "InstallLine":
        """Return the line of an install."""
        is_organic = install.attribution_type == ORGANIC
        return cls(
            install=install,
            type=type_of(install),
            tone=Tone.STILL if is_organic else Tone.GOOD,
            whose=named(install.partner, install.campaign),
            is_provisional=install.state == InstallState.PROVISIONAL,
        )


def named(*names: object, between: str = " · ") -> SafeString:
    """Return names beside each other, none of which turns its neighbors around."""
    return format_html_join(between, "<bdi>{}</bdi>", ((name,) for name in names if name))


def type_of(install: Install) -> str:
    """Return what earned the install, in a word."""
    stored = install.attribution_type
    return _TYPES.get(stored, stored.replace("_", " ").capitalize())
