"""The simulated day that a data folder is filled with, kept so that it can be gone on with."""

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from postbacks.demo.configuration import BUNDLE_IDS
from postbacks.demo.networks import DemoApp
from postbacks.demo.simulation.day import SimulatedDay, simulate_day

_FILE = "day.json"


@dataclass(frozen=True, slots=True)
class SavedDay:
    """A day to be simulated: sent again from its seed after a crash, it brings the same events."""

    seed: int
    now: datetime
    devices: int
    sent: bool = False

    def simulated(self) -> SimulatedDay:
        """Return what is sent for it."""
        return simulate_day(
            seed=self.seed,
            devices=self.devices,
            now=self.now,
            ios_bundle=BUNDLE_IDS[DemoApp.IOS],
            android_bundle=BUNDLE_IDS[DemoApp.ANDROID],
        )


def new_day(devices: int) -> SavedDay:
    """Return a day that was never sent."""
    return SavedDay(secrets.randbits(48), datetime.now(UTC), devices)


def load_day(folder: Path) -> SavedDay | None:
    """Return the day that a data folder is being filled with, or None."""
    try:
        data = json.loads((folder / _FILE).read_text())
    except FileNotFoundError:
        return None
    return SavedDay(**{**data, "now": datetime.fromisoformat(data["now"])})


def save_day(folder: Path, day: SavedDay) -> None:
    """Note the day and how far it has come; a crash leaves the old note or the new one."""
    fresh = folder / f"{_FILE}.new"
    fresh.write_text(json.dumps({**asdict(day), "now": day.now.isoformat()}))
    fresh.replace(folder / _FILE)
