"""The query parameters of each address: undeclared ones are refused by name."""

from collections.abc import Mapping

from django.db import models
from django.http import QueryDict
from rest_framework import exceptions, serializers

from apps_registry.tenancy import Lifecycle
from postbacks.api.problems import InvalidRequest
from postbacks.api.strict import StrictSerializer


class InvalidParameters(InvalidRequest):
    """The query parameters are not valid; `faults` says which and why."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__([{"parameter": name, "detail": text} for name, text in faults.items()])
        self.detail = exceptions.ErrorDetail(" ".join(faults.values()))


class Query(StrictSerializer):
    """No parameters. A subclass declares those of one address."""

    def _unknown(self, name: str) -> str:
        names = ", ".join(self.fields)
        return f"There is no parameter “{name}” here" + (f"; there is {names}." if names else ".")


class PageQuery(Query):
    """The parameters of every list; a subclass adds its filters, named like fields."""

    limit = serializers.IntegerField(
        min_value=1, max_value=200, default=50, help_text="How many results a page has."
    )
    cursor = serializers.CharField(
        required=False, help_text="A position in the list, from “next” or “previous”."
    )

    # The field that a filter compares, where it isn't the one of its name.
    lookups: dict[str, str] = {}

    def narrow(self, rows: models.QuerySet) -> models.QuerySet:
        """Return the rows that the filters leave."""
        values = {
            self.lookups.get(name, name): value
            for name, value in self.validated_data.items()
            if name not in {"limit", "cursor"}
        }
        return rows.filter(**values)


class ArchivableQuery(PageQuery):
    """The parameters of a list that leaves archived rows out unless `status=archived`."""

    status = serializers.ChoiceField(
        Lifecycle.choices, default=Lifecycle.ACTIVE, help_text="Which rows are listed."
    )


def read_query(parameters: QueryDict, declared: type[Query]) -> Query:
    """Return the checked parameters. Raises BadParameters."""
    twice = {
        name: f"The parameter “{name}” stands twice; send it once."
        for name, values in parameters.lists()
        if len(values) > 1
    }
    query = declared(data=parameters.dict())
    if query.is_valid() and not twice:
        return query
    raise InvalidParameters(
        {**{name: _sentence(name, e) for name, e in query.errors.items()}, **twice}
    )


def _sentence(name: str, errors: object) -> str:
    text = " ".join(map(str, errors)) if isinstance(errors, list) else str(errors)
    return text if f"“{name}”" in text else f"“{name}”: {text}"
