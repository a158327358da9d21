"""The form of a callback rule. What the rulebook finds wrong stands beside the field."""

import msgspec

from apps_registry.tenant_admin import TenantForm
from postbacks import rulebook
from postbacks.callbacks.macros import Problem
from postbacks.callbacks.rules import define
from postbacks.models import RuleStatus

_CHOSEN_BY_PEOPLE = (RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED)


class CallbackRuleForm(TenantForm):
    """Checks a rule as the rulebook does before it is saved."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if "status" in self.fields:
            offered = {*_CHOSEN_BY_PEOPLE, RuleStatus(self.instance.status)}
            self.fields["status"].choices = [  # type: ignore[attr-defined]  # a choice field
                (status.value, status.label) for status in RuleStatus if status in offered
            ]

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            return
        try:
            problems = rulebook.check(define(self.instance))
        except msgspec.ValidationError as error:
            self._add_shape_error(str(error))
            return
        for problem in problems:
            self.add_error(self._field_of(problem), _sentence(problem))

    def _add_shape_error(self, message: str) -> None:
        """Put “Expected `str`, got `int` - at `$.headers[...]`” beside the field that it names."""
        complaint, _, path = message.partition(" - at `$.")
        field = path.rstrip("`").split("[")[0].split(".")[0]
        self.add_error(field if field in self.fields else None, f"{complaint}.")

    def _field_of(self, problem: Problem) -> str | None:
        field = problem.field.split(".")[0]
        return field if field in self.fields else None


def _sentence(problem: Problem) -> str:
    """Say where and what; the message itself ends with what was probably meant."""
    _, _, header = problem.field.partition(".")
    place = f"{header}, position {problem.position}" if header else f"Position {problem.position}"
    return f"{place}: {problem.message}"
