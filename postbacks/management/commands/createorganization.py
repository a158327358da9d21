"""Create an organization and its first owner: `manage.py createorganization`."""

import os

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction

from apps_registry.models import Membership, Organization, User
from apps_registry.roles import Role
from postbacks.management.base import RecordedCommand, prompt_for_password


class Command(RecordedCommand):
    """Creates an organization with an owner who can sign in."""

    help = (
        "Creates an organization and its owner. The password is asked for, or read from the "
        "environment variable OWNER_PASSWORD. An existing person keeps the password."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The organization's name, for example “Gem Harbor”.")
        parser.add_argument("email", help="The owner's e-mail address.")

    def handle(self, *args: object, **options: object) -> None:
        name, email = str(options["name"]).strip(), str(options["email"]).strip().lower()
        try:
            validate_email(email)
            with transaction.atomic():
                organization = Organization(name=name)
                organization.full_clean()
                organization.save()
                owner = User.objects.filter(email=email).first() or _new_person(email)
                Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(f"Created “{name}” ({organization.public_id}); {email} is its owner.")


def _new_person(email: str) -> User:
    password = os.environ.get("OWNER_PASSWORD") or prompt_for_password(
        "Password of the owner: ", remedy="Set OWNER_PASSWORD to the owner's password."
    )
    validate_password(password, User(email=email))
    return User.objects.create_user(email, password)
