"""Attribution settings in words: values, the scopes they are inherited from, the waterfall."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.html import format_html

from apps_registry.models import App, AttributionSettings, Partner, ReinstallEvents, TrackingLink
from postbacks.admin.installs.touchpoints import joined_names
from postbacks.attribution.evidence import Settings
from postbacks.attribution.settings import COLUMNS

# The waterfall's setting for each column, and the unit in which the column counts.
SETTINGS = {column: (name, unit) for name, (column, unit) in COLUMNS.items()}
_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)


@dataclass(frozen=True, slots=True)
class TierLabel:
    """One tier of the waterfall: the evidence that wins in it, and its window.

    `term` is the trade's name for it.
    """

    title: str
    term: str
    text: str
    window: str
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All tiers, and the row of settings for all apps, if there is one."""

    tiers: tuple[TierLabel, ...]
    row: AttributionSettings | None


def waterfall() -> Waterfall:
    """Return the tiers for all apps, before settings of an app, a partner or a link."""
    row = AttributionSettings.objects.filter(app=None, partner=None, link=None).first()
    values = {
        column: value
        if row is not None and is_set(value := getattr(row, column))
        else _installation_value(column)
        for column in SETTINGS
    }
    labels = {column: value_label(column, value) for column, value in values.items()}
    return Waterfall(
        tiers=(
            TierLabel(
                "A click that proves itself",
                "Deterministic click",
                "Google Play's install referrer or Apple's AdServices names it, or ad and app saw "
                "the same advertising ID or click ID.",
                labels["click_window_hours"],
            ),
            TierLabel(
                "A click that fits",
                "Probabilistic click",
                "The same address and the same kind of device, and no other device fits. Such a "
                "match can be wrong.",
                labels["probabilistic_click_window_minutes"],
                is_off=not values["probabilistic_clicks"],
            ),
            TierLabel(
                "An impression that proves itself",
                "Deterministic view-through",
                "The ad was only seen, and ad and app saw the same advertising ID.",
                labels["impression_window_hours"],
            ),
            TierLabel(
                "An impression that fits",
                "Probabilistic view-through",
                "The ad was only seen, and only the address and the kind of device match.",
                labels["probabilistic_impression_window_minutes"],
                is_off=not values["probabilistic_impressions"],
            ),
            TierLabel("Nobody", "Organic", "The install is organic.", ""),
        ),
        row=row,
    )


@dataclass(frozen=True, slots=True)
class SettingsScope:
    """The app, partner or link that settings are for; all three None: all apps."""

    app: App | None = None
    partner: Partner | None = None
    link: TrackingLink | None = None

    def __str__(self) -> str:
        if self.link:
            return f"{self.link} of {self.link.campaign}"
        names = [str(row) for row in (self.app, self.partner) if row]
        return " with ".join(names) or "all apps"

    @property
    def isolated_names(self) -> str:
        """Return the names for a sentence, each isolated in its own writing direction."""
        return joined_names(self.app, self.partner, between=" with ") or "all apps"

    @property
    def wider(self) -> "Iterator[SettingsScope]":
        """Yield the scopes from which these settings are inherited, nearest first."""
        app, partner = self.app, self.partner
        if self.link:
            app, partner = self.link.campaign.app, self.link.campaign.partner
            yield SettingsScope(app, partner)
        if partner and app:
            yield SettingsScope(None, partner)
            yield SettingsScope(app)
        if self.link or app or partner:
            yield SettingsScope()


def scope_of(row: AttributionSettings) -> SettingsScope:
    return SettingsScope(row.app, row.partner, row.link)


def inherited_labels(scope: SettingsScope) -> dict[str, str]:
    """Return for each column the value that an empty one inherits, and its source."""
    rows = {
        (row.app_id, row.partner_id): row for row in AttributionSettings.objects.filter(link=None)
    }
    labels: dict[str, str] = {}
    for wider in scope.wider:
        row = rows.get((_key(wider.app), _key(wider.partner)))
        for column in SETTINGS:
            if row is not None and column not in labels and is_set(value := getattr(row, column)):
                label = value_label(column, value)
                labels[column] = format_html("{}, as set for {}", label, wider.isolated_names)
    return {
        column: labels.get(column, f"{installation_default(column)}, the default of this server")
        for column in SETTINGS
    }


def installation_default(column: str) -> str:
    return value_label(column, _installation_value(column))


def is_set(value: object) -> bool:
    return value is not None and value != ""


def value_label(column: str, value: object) -> str:
    """Return a column's value in words, such as “7 days” or “on”."""
    if isinstance(value, bool):
        return "on" if value else "off"
    unit = SETTINGS[column][1]
    if isinstance(value, int) and unit is not None:
        return duration_label(value * unit)
    if column == "reinstall_events":
        return str(dict(ReinstallEvents.choices).get(str(value), value)).lower()
    return str(value)


def duration_label(span: timedelta) -> str:
    """Return a duration in the largest unit that divides it: 7 days, 36 hours."""
    for unit, name in _UNITS:
        if span and span % unit == timedelta():
            count = span // unit
            return f"1 {name}" if count == 1 else f"{count} {name}s"
    return "0 seconds"


def set_rows(row: AttributionSettings) -> list[tuple[str, str]]:
    return [
        (_column_name(row, column), value_label(column, value))
        for column in SETTINGS
        if is_set(value := getattr(row, column))
    ]


def _installation_value(column: str) -> Any:
    name, unit = SETTINGS[column]
    value = getattr(Settings(), name)
    return value // unit if unit else value


def _column_name(row: AttributionSettings, column: str) -> str:
    name = row._meta.get_field(column).verbose_name  # type: ignore[union-attr]  # a column
    return str(name).partition(" (")[0]


def _key(row: App | Partner | None) -> int | None:
    return row.pk if row else None
