"""The simulated day of a data folder, saved so that an interrupted demo can continue it."""

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
    """The parameters of a day; after a crash its seed gives the same events again."""

    seed: int
    now: datetime
    devices: int
    sent: bool = False

    def simulated(self) -> SimulatedDay:
        return simulate_day(
            seed=self.seed,
            devices=self.devices,
            now=self.now,
            ios_bundle=BUNDLE_IDS[DemoApp.IOS],
            android_bundle=BUNDLE_IDS[DemoApp.ANDROID],
        )


def new_day(devices: int) -> SavedDay:
    return SavedDay(secrets.randbits(48), datetime.now(UTC), devices)


def load_day(folder: Path) -> SavedDay | None:
    """Return the day of a data folder, None if there is none yet."""
    try:
        data = json.loads((folder / _FILE).read_text())
    except FileNotFoundError:
        return None
    return SavedDay(**{**data, "now": datetime.fromisoformat(data["now"])})


def save_day(folder: Path, day: SavedDay) -> None:
    """Save the day atomically: a crash leaves the old file or the new one."""
    temporary = folder / f"{_FILE}.new"
    temporary.write_text(json.dumps({**asdict(day), "now": day.now.isoformat()}))
    temporary.replace(folder / _FILE)
