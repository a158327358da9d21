"""The parameters that a network adds to a link, explained one by one."""

from dataclasses import dataclass

from apps_registry.links.parameters import tidied
from postbacks.callbacks.partner_templates import ClickMacro, template_named

_DEVICE = "An install on a device with the same ID is credited to this click."
_CLICK = (
    "The network's own ID of the click. It goes back to the network with the install, so that it "
    "knows which click earned it."
)

# What we read ourselves, by the names of other vendors too; the macro is empty where the
# parameter is kept under its own name alone.
_KNOWN: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("click_id", "clickid", "cl", "external_click_id", "transaction_id", "af_click_id"),
        ("click_id", _CLICK),
    ),
    **dict.fromkeys(
        (
            "advertising_id", "gaid", "gps_adid", "aifa", "google_aid", "gaid_raw", "idfa",
            "ios_ifa", "ifa_raw", "oaid", "fire_adid", "idfv",
        ),
        ("", _DEVICE),
    ),
    **dict.fromkeys(
        ("site_id", "af_siteid", "siteid"),
        ("site_id", "Where the ad was shown: the network's ID of the app or site."),
    ),
    **dict.fromkeys(
        ("creative", "creative_name", "ad", "af_ad"),
        ("creative_name", "Which ad was clicked."),
    ),
    **dict.fromkeys(
        ("ip", "ip_address", "af_ip", "device_ip"),
        ("", "The device's address, where the network's server reports the click."),
    ),
    **dict.fromkeys(
        ("ua", "user_agent", "af_ua", "device_ua"),
        ("", "The device's browser, where the network's server reports the click."),
    ),
    "deep_link": ("", "What the app opens instead of the link's own deep link."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LinkParameter:
    """One parameter: its name, what the network puts there, and what becomes of it."""

    name: str
    value: str
    macros: tuple[str, ...]
    meaning: str


def explained(text: str) -> tuple[LinkParameter, ...]:
    """Return each parameter with what rules get of it."""
    pairs = (piece.partition("=") for piece in tidied(text).split("&") if piece)
    return tuple(_explained(name, value) for name, _, value in pairs)


def _explained(name: str, value: str) -> LinkParameter:
    macro, meaning = _KNOWN.get(name.lower(), ("", "Kept as it comes, for your callback rules."))
    own = f"click.{name}"
    macros = tuple("{{" + it + "}}" for it in (macro, own) if it)
    return LinkParameter(name, value, macros, meaning)


def has_click_id(text: str) -> bool:
    """Tell whether the network says which click it is."""
    return any("{{click_id}}" in it.macros for it in explained(text))


def unused_macros(name: str, text: str) -> tuple[ClickMacro, ...]:
    """Return what a partner template's rules use of a click, and a link does not ask for."""
    template = template_named(name) if name else None
    asked = {it.name for it in explained(text)}
    macros = template.click_macros if template else ()
    return tuple(it for it in macros if it.parameter not in asked)
