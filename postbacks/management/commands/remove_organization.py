"""Remove an organization with everything it has: `manage.py remove_organization`."""

from django.core.management.base import CommandError, CommandParser

from apps_registry.models import Organization
from postbacks.management.base import RecordedCommand
from postbacks.privacy import organization_removal
from postbacks.values.uuid7 import uuid_or_none


class Command(RecordedCommand):
    """Deletes an organization in batches, while all others keep working."""

    help = (
        "Deletes an organization: its logs, set-up, keys, members and at last itself. Its keys "
        "and members are refused and its postbacks stop from the first moment. This can't be "
        "undone. An interrupted run continues when repeated. People without another membership "
        "can't sign in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", help="Its ID or its exact name.")
        parser.add_argument("--dry-run", action="store_true", help="Only count what would go.")
        parser.add_argument("--yes", action="store_true", help="Do not ask for the name again.")

    def handle(self, *args: object, **options: object) -> None:
        organization = _find(str(options["organization"]))
        counts = organization_removal.count_rows(organization)
        for table, count in counts.items():
            self.stdout.write(f"{count:>12,} {'row' if count == 1 else 'rows'} of {table}")
        alone = organization_removal.people_left_alone(organization)
        membership = "person is a member" if alone == 1 else "people are members"
        self.stdout.write(
            f"{sum(counts.values()):,} rows of “{organization}” ({organization.public_id}). "
            f"{alone} {membership} of nothing else."
        )
        if options["dry_run"]:
            return
        if not options["yes"]:
            _confirm(organization)
        organization_removal.remove(organization, on_batch=self._note)
        self.stdout.write(f"“{organization}” is gone.")

    def _note(self, table: str, deleted: int) -> None:
        self.stdout.write(f"{table}: {deleted:,} deleted")


def _find(text: str) -> Organization:
    matches = list(Organization.objects.filter(name=text).order_by("pk"))
    if not matches and (public_id := uuid_or_none(text)):
        matches = list(Organization.objects.filter(public_id=public_id))
    if not matches:
        raise CommandError(f"There is no organization “{text}”.")
    if len(matches) > 1:
        ids = ", ".join(str(organization.public_id) for organization in matches)
        raise CommandError(f"{len(matches)} organizations are called “{text}”; name one of {ids}.")
    return matches[0]


def _confirm(organization: Organization) -> None:
    try:
        answer = input("Write its name again to delete all of this: ")
    except EOFError:
        answer = ""
    if answer.strip() != organization.name:
        raise CommandError("That is not its name. Nothing was deleted.")
