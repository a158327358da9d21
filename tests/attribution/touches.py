"""Touchpoints and installs for tests, in minutes before the install."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from postbacks.attribution.evidence import (
    CandidateTouchpoint,
    InstallEvidence,
    Settings,
    SettingsByScope,
)

INSTALLED = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
GAID = "advertising:38400000-8cf0-11bd-b23e-10b96e40000d"
ADDRESS = "ip:203.0.113.7"
PROBABILISTIC = SettingsByScope(
    Settings(probabilistic_clicks=True, probabilistic_impressions=True, probabilistic_on_ios=True)
)


def touch(
    number: int, *names: str, before: timedelta = timedelta(hours=1), **fields: object
) -> CandidateTouchpoint:
    at = INSTALLED - before
    values: Mapping[str, object] = {
        "id": UUID(int=number),
        "kind": "click",
        "occurred_at": at,
        "received_at": at,
        "partner_id": number,
        "identifiers": frozenset(names),
        "os_name": "android",
        **fields,
    }
    return CandidateTouchpoint(**values)  # type: ignore[arg-type]  # the tests' own table of fields


def install(*names: str, **fields: object) -> InstallEvidence:
    values: Mapping[str, object] = {
        "installed_at": INSTALLED,
        "device": "device-1",
        "os_name": "Android",
        "identifiers": frozenset(names),
        **fields,
    }
    return InstallEvidence(**values)  # type: ignore[arg-type]  # the tests' own table of fields
