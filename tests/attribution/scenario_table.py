"""The table of scenarios: read from TOML, brought into the forms of the waterfall."""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from postbacks.attribution.evidence import (
    CandidateTouchpoint,
    InstallEvidence,
    Settings,
    SettingsByScope,
)
from postbacks.values import identifiers, play_referrer

_FOLDER = Path(__file__).parent / "scenarios"
ADDRESSES = {"home": "203.0.113.7", "office": "198.51.100.9"}
INSTALLED = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
IDS = ("gaid", "idfa", "oaid", "amazon_id", "idfv")
_TIME = re.compile(r"([+-]?\d+)(s|min|h|d)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
# The setting of each key of a row of settings, and its unit.
_SETTINGS = {
    "click_window_hours": ("click_window", "hours"),
    "impression_window_hours": ("impression_window", "hours"),
    "probabilistic_click_window_minutes": ("probabilistic_click_window", "minutes"),
    "reengagement_window_days": ("reengagement_window", "days"),
    "least_seconds_to_install": ("least_time_to_install", "seconds"),
    "most_touchpoints_per_hour": ("most_touches_per_hour", ""),
}


@dataclass(frozen=True)
class Scenario:
    """A story of touchpoints and an install, and how it has to end."""

    name: str
    touchpoints: Sequence[Mapping[str, Any]]
    install: Mapping[str, Any]
    winner: str
    type: str = "click"
    method: str = ""
    lost: Mapping[str, str] = None  # type: ignore[assignment]  # by TOML, or {} below
    rejected: Mapping[str, str] = None  # type: ignore[assignment]  # likewise
    remarks: Sequence[str] = ()
    settings: Mapping[str, Any] = None  # type: ignore[assignment]  # likewise
    http: bool = False
    http_sees_losers: bool = True  # what shares no name with the install is not even looked at
    versions: int = 1

    @property
    def partners(self) -> list[str]:
        """The networks of the story, in order of appearance."""
        return list(dict.fromkeys(partner_of(touchpoint) for touchpoint in self.touchpoints))

    @property
    def platform(self) -> str:
        """Where the app runs."""
        return str(self.install.get("platform", "android"))


def scenarios(*, http: bool = False) -> list[Scenario]:
    """Return the table, or only what is played through HTTP."""
    rows = [
        row
        for path in sorted(_FOLDER.glob("*.toml"))
        for row in tomllib.loads(path.read_text())["scenario"]
    ]
    field_names = {field.name for field in fields(Scenario)}
    assert all(row.keys() <= field_names for row in rows)
    empty: dict[str, Any] = {"lost": {}, "rejected": {}, "settings": {}}
    table = [Scenario(**{**empty, **row}) for row in rows]
    return [scenario for scenario in table if scenario.http or not http]


def partner_of(touchpoint: Mapping[str, Any]) -> str:
    """Return the network of a touchpoint: `Lumen 2` is its second."""
    return str(touchpoint["by"]).split()[0]


def span(text: str) -> timedelta:
    """Return a time such as `-2h` as a difference to the first open."""
    match = _TIME.fullmatch(text)
    assert match, text
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def device_id(letter: str) -> str:
    """Return the id that a letter of the table stands for."""
    if letter == "zeros":
        return "00000000-0000-0000-0000-000000000000"
    if len(letter) > 1:
        return letter
    return str(UUID(bytes=hashlib.blake2b(letter.encode(), digest_size=16).digest(), version=4))


def ids_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the ids of a touchpoint or install by the names of the SDK API."""
    ids = {kind: device_id(row[kind]) for kind in IDS if kind in row}
    return {k: v.upper() if row.get("written") == "upper" else v for k, v in ids.items()}


def hash_of(row: Mapping[str, Any], kind: str) -> str:
    """Return the hash that a network sends instead of an id."""
    value = device_id(row[kind])
    value = value.upper() if row.get("written") == "upper" else value
    return hashlib.new(kind, value.encode(), usedforsecurity=False).hexdigest()


def touches(scenario: Scenario) -> list[tuple[str, CandidateTouchpoint]]:
    """Return the touchpoints with their labels, in the table's order."""
    if any(touchpoint.get("app") for touchpoint in scenario.touchpoints):
        return []  # of another app: no search finds them
    numbers = iter(range(1, 1000))
    partners = scenario.partners
    return [
        (str(row["by"]), _touch(scenario, row, next(numbers), partners, index))
        for row in scenario.touchpoints
        for index in range(row.get("times", 1))
    ]


def _touch(
    scenario: Scenario, row: Mapping[str, Any], number: int, partners: list[str], index: int
) -> CandidateTouchpoint:
    at = INSTALLED + span(row.get("at", "-1h")) + index * timedelta(minutes=1)
    id_ = UUID(int=number)
    params: dict[str, object] = {"claimed_by": row["claimed_by"]} if "claimed_by" in row else {}
    if row.get("time") == "unknown":
        params["time_is_unknown"] = True
    return CandidateTouchpoint(
        id=id_,
        kind=row.get("kind", "click"),
        occurred_at=at,
        received_at=INSTALLED + span(row["told"]) if "told" in row else at,
        partner_id=partners.index(partner_of(row)),
        link_id=100 + partners.index(partner_of(row)),
        identifiers=frozenset([*_names(row), f"touch:{id_}"]),
        source=row.get("source", "link"),
        os_name=row.get("os", scenario.platform),
        os_version=row.get("os_version", ""),
        device_model=row.get("model", ""),
        refused=row.get("refused", ""),
        params=params,
    )


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    yield from identifiers.identifiers_of(ids_of(row))
    for kind in ("sha1", "md5"):
        if kind in row:
            yield f"{kind}:{hash_of(row, kind)}"
    if "click_id" in row:
        yield identifiers.identifier("click_id", row["click_id"])
    if "own" in row:
        yield identifiers.identifier("install_id", row["own"])
    if "address" in row:
        yield identifiers.address_identifier(ADDRESSES[row["address"]]) or ""


def evidence(scenario: Scenario) -> InstallEvidence:
    """Return the install."""
    row = scenario.install
    ids = {**ids_of(row), "install_id": row.get("install_id", "device-1")}
    labels = dict(touches(scenario))
    text = row.get("referrer", "")
    if text.startswith("click of "):
        text = f"postbacks_click={labels[text.removeprefix('click of ')].id}"
    referrer = play_referrer.parse(text)
    from_referrer = frozenset(play_referrer.click_identifiers(referrer))
    names = {*identifiers.identifiers_of(ids), *identifiers.hashed_identifiers(ids), *from_referrer}
    if "address" in row:
        names.add(identifiers.address_identifier(ADDRESSES[row["address"]]) or "")
    if "click_id" in row:
        names.add(identifiers.identifier("click_id", row["click_id"]))
    malformed = any(identifiers.is_malformed(kind, value) for kind, value in ids.items())
    return InstallEvidence(
        installed_at=INSTALLED,
        device="device-1",
        platform=scenario.platform,
        identifiers=frozenset(names),
        referrer=referrer,
        referrer_identifiers=from_referrer,
        install_begin_at=INSTALLED + span(row["begin"]) if "begin" in row else None,
        has_server_begin_time="begin" in row,
        os_name=scenario.platform,
        os_version=row.get("os_version", ""),
        device_model=row.get("model", ""),
        is_return=row.get("comes_back", False),
        remarks=("malformed_advertising_id",) if malformed else (),
    )


def settings_by_scope(scenario: Scenario) -> SettingsByScope:
    """Return the settings; a level inherits from the next wider one."""
    settings, partners = scenario.settings, scenario.partners
    app = settings.get("app", {})
    of_partners = {name: {**app, **own} for name, own in settings.get("partner", {}).items()}
    of_links = {
        name: {**of_partners.get(name, app), **own}
        for name, own in settings.get("link", {}).items()
    }
    return SettingsByScope(
        app=_settings(app),
        partners={
            partners.index(name): _settings(own)
            for name, own in of_partners.items()
            if name in partners
        },
        links={100 + partners.index(name): _settings(own) for name, own in of_links.items()},
    )


def _settings(row: Mapping[str, Any]) -> Settings:
    values: dict[str, Any] = {}
    for name, value in row.items():
        target, unit = _SETTINGS.get(name, (name, ""))
        values[target] = timedelta(**{unit: value}) if unit else value
    return Settings(**values)
