"""Load exchange rates: `manage.py load_rates eurofxref-hist.csv`."""

from datetime import UTC, datetime
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from postbacks.callbacks.currency import ecb, stored_rates


class Command(BaseCommand):
    """Loads exchange rates from a file of the European Central Bank."""

    help = (
        "Loads exchange rates from a file of the European Central Bank "
        "(www.ecb.europa.eu/stats/eurofxref: eurofxref-hist.zip, .csv or .xml). They count for "
        "postbacks that are decided from a minute on. Days that are there already stay as they are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="The file, as downloaded.")
        parser.add_argument(
            "--repeat",
            type=int,
            metavar="DAYS",
            help="Only for demonstrations: take the newest day of the file for each of the last "
            "DAYS days, at once.",
        )

    def handle(self, *args: object, file: Path, repeat: int | None, **options: object) -> None:
        try:
            days = ecb.read_rates(file.read_bytes())
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}.") from None
        except ecb.NotRatesError as error:
            raise CommandError(f"{file}: {error}") from None
        known_after: float = stored_rates.KNOWN_AFTER_SECONDS
        if repeat:
            days = stored_rates.repeated(days, until=datetime.now(UTC).date(), number=repeat)
            known_after = 0
        stored = stored_rates.store_rates(days, known_after=known_after)
        newest = max(day.day for day in days)
        self.stdout.write(
            f"{stored} new rates of {len(days)} days; the newest day is {newest.isoformat()}."
        )
