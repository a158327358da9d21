"""Make somebody an operator of this installation: `manage.py createoperator`."""

import os
import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.validators import validate_email

from apps_registry.models import User
from postbacks.management.base import RecordedCommand, prompt_for_password


class Command(RecordedCommand):
    """Makes an operator, who sees the installation's health and its organizations."""

    help = (
        "Makes somebody an operator, who sees the installation's health and the list of "
        "organizations, and may visit one. The password is asked for, read from the environment "
        "variable OPERATOR_PASSWORD, or made and shown once with --generate-password. A person "
        "who is known already keeps the password."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="The operator's e-mail address.")
        parser.add_argument(
            "--generate-password", action="store_true", help="Make a password and show it once."
        )

    def handle(self, *args: object, **options: object) -> None:
        email = str(options["email"]).strip().lower()
        try:
            validate_email(email)
            person = User.objects.filter(email=email).first()
            if person is None:
                self._create(email, generate=bool(options["generate_password"]))
            else:
                User.objects.filter(pk=person.pk).update(is_superuser=True)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(f"{email} is an operator of this installation.")

    def _create(self, email: str, *, generate: bool) -> None:
        if generate:
            password = secrets.token_urlsafe(18)
            self.stdout.write(f"The password, shown only now: {password}")
        else:
            password = os.environ.get("OPERATOR_PASSWORD") or prompt_for_password(
                "Password: ", remedy="Set OPERATOR_PASSWORD, or add --generate-password."
            )
        validate_password(password, User(email=email))
        User.objects.create_superuser(email, password)
