"""Kill the product at random and see what it promised: `python -m tests.chaos --help`."""

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from postbacks.demo.child_processes import stop_on_signals
from postbacks.infrastructure.database.embedded import EmbeddedServerError
from tests.chaos.damage import FullDisk
from tests.chaos.installation import ROOT, ChaosError, Installation
from tests.chaos.run import FULL, SHORT, Run, keep, table

_DISK_MEGABYTES = 2_500


def main() -> int:
    """Return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--quick", action="store_true", help="the short form of `make test`")
    arguments = parser.parse_args()
    stop_on_signals()
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {text}\n")
        sys.stdout.flush()

    # Where PostgreSQL's own user may go, whoever runs this.
    folder = Path(tempfile.mkdtemp(prefix="postbacks-chaos-"))
    folder.chmod(0o755)
    disk = FullDisk(folder / "disk", _DISK_MEGABYTES)
    installation = Installation(disk.folder / "data", folder / "logs")
    plan = SHORT if arguments.quick else FULL
    run = Run(installation, plan, arguments.seed, disk, say)
    results = Path(os.environ.get("DATA_DIR") or ROOT / ".local").resolve() / "chaos"
    path = results / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}.json"
    verdict = None
    try:
        say(f"Starting everything; the seed is {run.seed}; the disk is {disk.means} …")
        installation.start()
        if not installation.redis_port:
            say("redis-server is not installed: all tasks lie in PostgreSQL.")
        verdict = run.do()
    except (ChaosError, EmbeddedServerError) as error:
        say(str(error))
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        say("Stopping …")
        installation.close()
        disk.close()
    if verdict is not None:
        keep(path, run, verdict)
        sys.stdout.write(f"\n{table(verdict, run.wounds)}\n\nAll figures: {path}\n")
    if verdict is None or verdict.broken:
        shutil.copytree(folder / "logs", path.with_suffix(""), dirs_exist_ok=True)
        sys.stdout.write(f"The logs: {path.with_suffix('')}\n")
    shutil.rmtree(folder, ignore_errors=True)
    return 0 if verdict is not None and not verdict.broken else 1


if __name__ == "__main__":
    sys.exit(main())
