"""③ What holds for an app's touchpoints: link, else app and partner, partner, app, organization."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from postbacks.attribution.evidence import Settings, SettingsByScope
from postbacks.infrastructure.database import prepared

AppKey = tuple[int, int]  # organization, app

# The column of `attribution_settings` for each setting, and what its number counts.
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

_LOAD = """
SELECT s.organization_id, jsonb_agg(
    to_jsonb(s) || jsonb_build_object('link_app_id', c.app_id, 'link_partner_id', c.partner_id)
    ORDER BY s.id
)::text
FROM attribution_settings AS s
LEFT JOIN tracking_link AS l ON l.organization_id = s.organization_id AND l.id = s.link_id
LEFT JOIN campaign AS c ON c.organization_id = s.organization_id AND c.id = l.campaign_id
WHERE s.organization_id = ANY(%(organizations)s::bigint[])
GROUP BY s.organization_id
"""

_Row = dict[str, Any]
_rows = msgspec.json.Decoder(list[_Row])
_NOTHING_SET = SettingsByScope()


def load_settings(apps: Iterable[AppKey]) -> dict[AppKey, SettingsByScope]:
    """Return what holds in each app. What was made of the same rows once serves again."""
    keys = set(apps)
    if not keys:
        return {}
    organizations = sorted({organization_id for organization_id, _ in keys})
    texts = dict(prepared.run(_LOAD, {"organizations": organizations}))
    return {
        (organization_id, app_id): _ladder(app_id, texts[organization_id])
        if organization_id in texts
        else _NOTHING_SET
        for organization_id, app_id in keys
    }


def every_level(ladder: SettingsByScope) -> Iterable[Settings]:
    """Return all settings that may hold for a touchpoint of the app."""
    return (ladder.app, *ladder.partners.values(), *ladder.links.values())


@lru_cache(maxsize=1024)
def _ladder(app_id: int, text: str) -> SettingsByScope:
    rows = _rows.decode(text)
    app = Settings()
    for owner in (None, app_id):
        app = _with(app, _find(rows, app_id=owner, partner_id=None))
    partners = {
        partner_id: _of_partner(rows, app, app_id, partner_id)
        for row in rows
        for partner_id in (row["partner_id"],)
        if isinstance(partner_id, int) and row["app_id"] in {None, app_id}
    }
    links = {
        row["link_id"]: _with(_of_partner(rows, app, app_id, row["link_partner_id"]), row)
        for row in rows
        if isinstance(row["link_id"], int) and row["link_app_id"] == app_id
    }
    return SettingsByScope(app, partners, links)


def _of_partner(rows: list[_Row], app: Settings, app_id: int, partner_id: object) -> Settings:
    settings = app
    for owner in (None, app_id):
        settings = _with(settings, _find(rows, app_id=owner, partner_id=partner_id))
    return settings


def _find(rows: list[_Row], *, app_id: int | None, partner_id: object) -> _Row | None:
    for row in rows:
        if row["link_id"] is None and (row["app_id"], row["partner_id"]) == (app_id, partner_id):
            return row
    return None


def _with(settings: Settings, row: _Row | None) -> Settings:
    """Return settings with what a row sets; its empty fields are left to the rung above."""
    if row is None:
        return settings
    changes = {}
    for name, (column, unit) in COLUMNS.items():
        value = row[column]
        if value is not None and value != "":
            changes[name] = value if unit is None else value * unit
    return replace(settings, **changes)
