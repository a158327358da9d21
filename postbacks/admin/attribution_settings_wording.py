"""What each attribution setting is worth in words, and what holds where it is left empty."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils.html import format_html

from apps_registry.models import App, AttributionSettings, Partner, ReinstallEvents, TrackingLink
from postbacks.admin.installs.touchpoints import named
from postbacks.attribution.evidence import Settings
from postbacks.attribution.settings import COLUMNS

# FOLDED from waterfall_tiers.py


@dataclass(frozen=True, slots=True)
class TierLabel:
    """One tier: what it takes to win in it, and how long before the install it may have been.

    `term` is what others call it.
    """

    title: str
    term: str
    text: str
    window: str
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All tiers, and the row that holds for all apps, if there is one."""

    tiers: tuple[TierLabel, ...]
    row: AttributionSettings | None


def waterfall() -> Waterfall:
    """Return the tiers as they hold where no app, partner or link says otherwise."""
    row = AttributionSettings.objects.filter(app=None, partner=None, link=None).first()
    holds = {
        column: in_words(column, value)
        if row is not None and is_set(value := getattr(row, column))
        else usual(column)
        for column in SETTINGS
    }
    return Waterfall(
        tiers=(
            TierLabel(
                "A click that proves itself",
                "Deterministic click",
                "Google Play's install referrer or Apple's AdServices names it, or ad and app saw "
                "the same advertising ID or click ID.",
                holds["click_window_hours"],
            ),
            TierLabel(
                "A click that fits",
                "Probabilistic click",
                "The same address and the same kind of device, and no other device fits. Such a "
                "guess can be wrong.",
                holds["probabilistic_click_window_minutes"],
                is_off=holds["probabilistic_clicks"] == "off",
            ),
            TierLabel(
                "An impression that proves itself",
                "Deterministic view-through",
                "The ad was only seen, and ad and app saw the same advertising ID.",
                holds["impression_window_hours"],
            ),
            TierLabel(
                "An impression that fits",
                "Probabilistic view-through",
                "The ad was only seen, and the device is a guess.",
                holds["probabilistic_impression_window_minutes"],
                is_off=holds["probabilistic_impressions"] == "off",
            ),
            TierLabel("Nobody", "Organic", "The install is organic.", ""),
        ),
        row=row,
    )


# For each column the setting of the waterfall that it says, and what its number counts.
SETTINGS = {column: (name, unit) for name, (column, unit) in COLUMNS.items()}
_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)


@dataclass(frozen=True, slots=True)
class Whose:
    """Whom settings are for; all three None: everybody."""

    app: App | None = None
    partner: Partner | None = None
    link: TrackingLink | None = None

    def __str__(self) -> str:
        if self.link:
            return f"{self.link} of {self.link.campaign}"
        names = [str(it) for it in (self.app, self.partner) if it]
        return " with ".join(names) or "all apps"

    @property
    def isolated(self) -> str:
        """Return it for the middle of a sentence in which names turn nothing around."""
        return named(self.app, self.partner, between=" with ") or "all apps"

    @property
    def wider(self) -> "Iterator[Whose]":
        """Yield whose settings hold where these are empty, nearest first."""
        app, partner = self.app, self.partner
        if self.link:
            app, partner = self.link.campaign.app, self.link.campaign.partner
            yield Whose(app, partner)
        if partner and app:
            yield Whose(None, partner)
            yield Whose(app)
        if self.link or app or partner:
            yield Whose()


def whose(row: AttributionSettings) -> Whose:
    return Whose(row.app, row.partner, row.link)


def inherited(of: Whose) -> dict[str, str]:
    """Return for each column what holds where it is left empty, and from where."""
    rows = {(it.app_id, it.partner_id): it for it in AttributionSettings.objects.filter(link=None)}
    found: dict[str, str] = {}
    for wider in of.wider:
        row = rows.get((_key(wider.app), _key(wider.partner)))
        for column in SETTINGS:
            if row is not None and column not in found and is_set(value := getattr(row, column)):
                words = in_words(column, value)
                found[column] = format_html("{}, as set for {}", words, wider.isolated)
    return {
        column: found.get(column, f"{usual(column)}, from the installation") for column in SETTINGS
    }


def usual(column: str) -> str:
    name, unit = SETTINGS[column]
    value = getattr(Settings(), name)
    return in_words(column, value // unit if unit else value)


def is_set(value: object) -> bool:
    return value is not None and value != ""


def in_words(column: str, value: object) -> str:
    """Return a column's value as people say it: 7 days, on."""
    if isinstance(value, bool):
        return "on" if value else "off"
    unit = SETTINGS[column][1]
    if isinstance(value, int) and unit is not None:
        return span_in_words(value * unit)
    if column == "reinstall_events":
        return str(dict(ReinstallEvents.choices).get(str(value), value)).lower()
    return str(value)


def span_in_words(span: timedelta) -> str:
    """Return a time span exactly, in the largest unit that divides it: 7 days, 36 hours."""
    for unit, name in _UNITS:
        if span and span % unit == timedelta():
            count = span // unit
            return f"1 {name}" if count == 1 else f"{count} {name}s"
    return "0 seconds"


def set_in_words(row: AttributionSettings) -> list[tuple[str, str]]:
    return [
        (str(row._meta.get_field(column).verbose_name).partition(" (")[0], in_words(column, value))  # type: ignore[union-attr]  # a column
        for column in SETTINGS
        if is_set(value := getattr(row, column))
    ]


def _key(row: App | Partner | None) -> int | None:
    return row.pk if row else None
