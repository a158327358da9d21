"""Fill a database to see how pages and searches hold: `manage.py generateload`."""

import os
import secrets

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from postbacks.demo.generated_load import organizations as load_organizations
from postbacks.demo.generated_load.writing import (
    LoadSize,
    now_in_full_seconds,
    vacuum_logs,
    write_load,
)
from postbacks.management.base import RecordedCommand
from postbacks.privacy import organization_removal

_FULL = LoadSize(attempts=10_000_000, events=3_000_000, organizations=200, clicks=1_000_000)
_REMOVED_AT_ONCE = 20_000


class Command(RecordedCommand):
    """Writes a large load, or removes it again."""

    help = (
        "Writes attempts, events, clicks, and all that follows from them, for a number of "
        "organizations: 10 million attempts take about 20 GB and half an hour. Nothing is sent. "
        "Stop the workers first. A database with other organizations is refused unless told."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        for name in ("attempts", "events", "organizations", "clicks"):
            full = getattr(_FULL, name)
            parser.add_argument(f"--{name}", type=int, help=f"How many; by default {full:,}.")
        parser.add_argument(
            "--scale", type=float, default=1.0, help="A share of all these: 0.01 is a hundredth."
        )
        parser.add_argument(
            "--days", type=int, default=_FULL.days, help="Over how many days they spread."
        )
        parser.add_argument(
            "--beside-others",
            action="store_true",
            help="Write also where there are organizations that this command did not make.",
        )
        parser.add_argument(
            "--remove",
            action="store_true",
            help="Remove the organizations of a load; its owner stays, and can't sign in.",
        )

    def handle(self, *args: object, **options: object) -> None:
        if options["remove"]:
            self._remove()
            return
        size = _size(options)
        if load_organizations.generated_organizations().exists():
            raise CommandError("There is a load already; generateload --remove removes it.")
        if load_organizations.other_organizations().exists() and not options["beside_others"]:
            raise CommandError(
                "This database has organizations of its own. Name another one in DATABASE_URL, or "
                "say --beside-others: their pages and workers will share the machine with the load."
            )
        self._write(size)

    def _write(self, size: LoadSize) -> None:
        hidden = None if self.stdout.isatty() else True
        made = load_organizations.create_organizations(size.organizations, rules=size.rules)
        organizations = list(
            tqdm(made, total=size.organizations, desc="Organizations", disable=hidden)
        )
        first = organizations[0].organization
        password = os.environ.get("OWNER_PASSWORD") or secrets.token_urlsafe(12)
        owner = load_organizations.create_owner(first, password)
        with tqdm(total=size.rows, unit=" rows", desc="Rows         ", disable=hidden) as bar:
            for written in write_load(size, organizations, newest=now_in_full_seconds()):
                bar.update(written)
        vacuum_logs()
        self.stdout.write(
            f"Wrote {size.attempts:,} attempts, {size.postbacks:,} postbacks, {size.events:,} "
            f"events and {size.clicks:,} clicks of {size.organizations:,} organizations.\n"
            f"{owner.email} owns “{first}”, the largest; the password is {password}"
        )

    def _remove(self) -> None:
        for organization in load_organizations.generated_organizations():
            organization_removal.remove(
                organization, on_batch=lambda *_: None, batch=_REMOVED_AT_ONCE
            )
            self.stdout.write(f"“{organization}” is gone.")


def _size(options: dict[str, object]) -> LoadSize:
    numbers = {}
    for name in ("attempts", "events", "organizations", "clicks"):
        given = options[name]
        full = getattr(_FULL, name)
        numbers[name] = (
            round(full * float(str(options["scale"]))) if given is None else int(str(given))
        )
        if numbers[name] < 1:
            raise CommandError(f"--{name} must be at least 1.")
    if not 1 <= int(str(options["days"])) <= _FULL.days:
        raise CommandError(f"--days must lie between 1 and {_FULL.days}: clicks are kept for 35.")
    return LoadSize(**numbers, days=int(str(options["days"])))
