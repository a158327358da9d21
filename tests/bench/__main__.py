"""Measure Postbacks beside what a team would write: `python -m tests.bench --help`."""

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from postbacks.demo.child_processes import stop_on_signals
from postbacks.infrastructure.database.embedded import EmbeddedServer, EmbeddedServerError
from tests.bench import settings
from tests.bench.children import BenchError

ROWS = (
    "doors",
    "delivery",
    "whole",
    "single",
    "latency",
    "crediting",
    "log",
    "growth",
    "candidates",
    "rendering",
    "neighbors",
)
QUICK_ROWS = ROWS[: ROWS.index("crediting")]  # 1 to 6


def main() -> int:
    """Measure, print, keep; return the exit code, which slow figures do not change."""
    row_names, quick = _arguments()
    folder = settings.folder()
    stop_on_signals()
    try:
        with _alone(folder):
            server = EmbeddedServer(folder / "run")
            has_database_url = bool(os.environ.get("DATABASE_URL"))
            settings.apply(server)
            django.setup()

            from tests.bench.session import Session  # what it imports needs Django set up

            session = Session(
                folder, server, quick=quick, row_names=row_names, own_database=has_database_url
            )
            session.run()
    except (BenchError, EmbeddedServerError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    return 0


def _arguments() -> tuple[list[str], bool]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, in a minute")
    parser.add_argument(
        "--only", metavar="ROWS", help=f"some of {','.join(ROWS)}; quick: {','.join(QUICK_ROWS)}"
    )
    arguments = parser.parse_args()
    usual = QUICK_ROWS if arguments.quick else [row for row in ROWS if row != "growth"]
    names = arguments.only.split(",") if arguments.only else usual
    if unknown := set(names) - set(ROWS):
        parser.error(f"there is no row “{unknown.pop()}”; the rows are {', '.join(ROWS)}")
    return [row for row in ROWS if row in names], arguments.quick


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this run. Its data goes, but for an error, which its logs explain."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BenchError(f"Another benchmark runs in {folder}.") from None
        shutil.rmtree(folder / "run", ignore_errors=True)
        try:
            yield
        except KeyboardInterrupt:
            shutil.rmtree(folder / "run", ignore_errors=True)
            raise
        shutil.rmtree(folder / "run", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
