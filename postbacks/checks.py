"""System checks: times that must nest, partner templates, and rights of the database roles."""

import itertools
from collections.abc import Mapping, Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import Error as DatabaseError
from django.db import connections

from postbacks.callbacks.partner_templates import (
    TemplateFileError,
    all_templates,
    unavailable_partners,
)
from postbacks.delivery.success import parse_success
from postbacks.infrastructure.database import roles


def check_times_nest(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Report times that do not nest.

    A request must end well within its lease, or a second worker sends it too. A task must outlive
    its leases. And django-q2 must not start a task again that still runs.
    """
    times: dict[str, float] = {
        "HTTP_TOTAL_SECONDS": settings.HTTP_TOTAL_SECONDS,
        "LEASE_SECONDS / 4": settings.LEASE_SECONDS / 4,
        "Q_CLUSTER timeout": float(str(settings.Q_CLUSTER["timeout"])),
        "Q_CLUSTER retry": float(str(settings.Q_CLUSTER["retry"])),
    }
    names = list(times)
    return [
        Error(
            f"{shorter} ({times[shorter]:g} s) must be less than {longer} ({times[longer]:g} s).",
            id="postbacks.E001",
        )
        for shorter, longer in itertools.pairwise(names)
        if not times[shorter] < times[longer]
    ]


def check_database_roles(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **_: object,
) -> list[CheckMessage]:
    """Report database roles under which row-level security would not hold."""
    return [error for alias in databases or () for error in _role_errors(alias)]


def check_partner_templates(
    app_configs: Sequence[AppConfig] | None, **_: object
) -> list[CheckMessage]:
    """Report partner templates that can't be used, by file and key."""
    try:
        templates = all_templates()
        unavailable_partners()
    except TemplateFileError as error:
        return [Error(str(error), id="postbacks.E003")]
    return [
        Error(f"{template.name}.toml, rules[{number}].success: {sentence}", id="postbacks.E003")
        for template in templates.values()
        for number, rule in enumerate(template.rules)
        if (sentence := _problem_with_success(rule.success))
    ]


def _problem_with_success(success: Mapping[str, object]) -> str:
    try:
        parse_success(success)
    except ValueError as error:
        return str(error)
    return ""


def _role_errors(alias: str) -> list[CheckMessage]:
    connection = connections[alias]
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return [
            Error(
                f"The database can't be used: {str(error).strip()}",
                hint="Run `manage.py setup_roles` if a role is missing.",
                id="postbacks.E002",
            )
        ]
    return [
        Error(problem.message, hint=problem.hint, id="postbacks.E002")
        for problem in roles.problems(connection.connection)
    ]
