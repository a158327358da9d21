"""③ The settings of each scope of an app.

From the nearest level to the widest: link, app and partner, partner, app, organization. A level
that leaves a setting empty takes it from the next one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from postbacks.attribution.evidence import Settings, SettingsByScope
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql

AppKey = tuple[int, int]  # organization, app

# The column of `attribution_settings` for each setting, and the unit of its number.
COLUMNS: Final[Mapping[str, tuple[str, timedelta | None]]] = {
    "click_window": ("click_window_hours", timedelta(hours=1)),
    "impression_window": ("impression_window_hours", timedelta(hours=1)),
    "probabilistic_clicks": ("probabilistic_clicks", None),
    "probabilistic_impressions": ("probabilistic_impressions", None),
    "probabilistic_on_ios": ("probabilistic_on_ios", None),
    "probabilistic_click_window": ("probabilistic_click_window_minutes", timedelta(minutes=1)),
    "probabilistic_impression_window": (
        "probabilistic_impression_window_minutes",
        timedelta(minutes=1),
    ),
    "reattribution_window": ("reattribution_window_days", timedelta(days=1)),
    "inactivity": ("inactivity_days", timedelta(days=1)),
    "reengagement_window": ("reengagement_window_days", timedelta(days=1)),
    "reinstall_events": ("reinstall_events", None),
    "least_time_to_install": ("least_seconds_to_install", timedelta(seconds=1)),
    "most_touches_per_hour": ("most_touchpoints_per_hour", None),
}

_SHORT: Final = 32_768  # characters, of some sixty rows
_LOAD = load_sql("postbacks.attribution", "load_settings")

_Row = dict[str, Any]
_rows = msgspec.json.Decoder(list[_Row])


def load_settings(apps: Iterable[AppKey]) -> dict[AppKey, SettingsByScope]:
    """Return the settings of each app. Unchanged rows are decoded once per process."""
    keys = set(apps)
    if not keys:
        return {}
    organizations = sorted({organization_id for organization_id, _ in keys})
    rows = {
        organization_id: (text, has_test_devices)
        for organization_id, text, has_test_devices in prepared.run(
            _LOAD, {"organizations": organizations}
        )
    }
    return {
        (organization_id, app_id): read_settings(app_id, *rows[organization_id])
        for organization_id, app_id in keys
    }


def every_level(settings: SettingsByScope) -> Iterable[Settings]:
    """Return the settings of every level that a touchpoint of the app may have."""
    return (settings.app, *settings.partners.values(), *settings.links.values())


def read_settings(app_id: int, text: str, has_test_devices: bool) -> SettingsByScope:
    """Return an app's settings out of those of its organization, as JSON.

    Few long texts are kept: an organization may have thousands of links and of apps.
    """
    known = _known_short if len(text) <= _SHORT else _known_long
    return known(app_id, text, has_test_devices)


def _settings_by_scope(app_id: int, text: str, has_test_devices: bool) -> SettingsByScope:
    rows = _rows.decode(text)
    app = Settings()
    for level in (None, app_id):
        app = _override(app, _find(rows, app_id=level, partner_id=None))
    partner_ids = [
        row["partner_id"]
        for row in rows
        if isinstance(row["partner_id"], int) and row["app_id"] in {None, app_id}
    ]
    partners = {id_: _of_partner(rows, app, app_id, id_) for id_ in partner_ids}
    links = {
        row["link_id"]: _override(_of_partner(rows, app, app_id, row["link_partner_id"]), row)
        for row in rows
        if isinstance(row["link_id"], int) and row["link_app_id"] == app_id
    }
    return SettingsByScope(app, partners, links, has_test_devices)


_known_short = lru_cache(maxsize=1024)(_settings_by_scope)
_known_long = lru_cache(maxsize=16)(_settings_by_scope)


def _of_partner(rows: list[_Row], app: Settings, app_id: int, partner_id: object) -> Settings:
    settings = app
    for level in (None, app_id):
        settings = _override(settings, _find(rows, app_id=level, partner_id=partner_id))
    return settings


def _find(rows: list[_Row], *, app_id: int | None, partner_id: object) -> _Row | None:
    for row in rows:
        if row["link_id"] is None and (row["app_id"], row["partner_id"]) == (app_id, partner_id):
            return row
    return None


def _override(settings: Settings, row: _Row | None) -> Settings:
    """Return settings with the values of a row; its empty columns change nothing."""
    if row is None:
        return settings
    changes = {}
    for name, (column, unit) in COLUMNS.items():
        value = row[column]
        if value is not None and value != "":
            changes[name] = value if unit is None else value * unit
    return replace(settings, **changes)
