"""What each attribution setting is worth in words, and what holds where it is left empty."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils.html import format_html

from apps_registry.models import App, AttributionSettings, Partner, ReinstallEvents, TrackingLink
from postbacks.admin.install_lines import named
from postbacks.attribution.evidence import Settings
from postbacks.attribution.settings import COLUMNS

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
        """Return it as people say it."""
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
    """Return whom a row's settings are for."""
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
    """Return what holds where nobody has set anything."""
    name, unit = SETTINGS[column]
    value = getattr(Settings(), name)
    return in_words(column, value // unit if unit else value)


def is_set(value: object) -> bool:
    """Tell whether a column says something."""
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
    """Return what a row sets: names of fields and values."""
    return [
        (str(row._meta.get_field(column).verbose_name).partition(" (")[0], in_words(column, value))  # type: ignore[union-attr]  # a column
        for column in SETTINGS
        if is_set(value := getattr(row, column))
    ]


def _key(row: App | Partner | None) -> int | None:
    return row.pk if row else None
