"""The form of a callback rule: plain inputs, and what the rulebook finds wrong beside the field."""

from collections.abc import Collection
from typing import ClassVar

import msgspec
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.urls import reverse

from apps_registry.admin_base.tenant_admin import TenantForm
from postbacks.admin.rules.fields import (
    JOINS,
    AuthenticationInputs,
    ConditionLinesField,
    EventNamesField,
    ExpectedValueField,
    PairLinesField,
    SuccessCodesField,
    WaitsField,
    as_line_problem,
    authentication_inputs,
    authentication_of,
    condition_inputs,
    conditions_of,
    success_inputs,
    success_of,
)
from postbacks.admin.rules.filling import FILL, filled_in
from postbacks.admin.rules.help_texts import HELP, LABELS, SCOPES, STATUSES
from postbacks.admin.rules.hints import (
    FIX,
    ShownProblem,
    fix_of_problem,
    shown,
    template_error,
    with_fix,
)
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.rules.versions import definition_from
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.rules import default_delays
from postbacks.rulebook import saving
from postbacks.rulebook.test_send import is_proven, proof_of
from postbacks.values.rule_choices import HttpMethod

# FOLDED from rule_switch.py

ANYWAY = "_anyway"

SWITCH_ON = "_switch_on"


class CallbackRuleForm(TenantForm, AuthenticationInputs):
    """Checks a rule as the rulebook does before it is saved."""

    triggers = EventNamesField()
    conditions_join = forms.ChoiceField(choices=JOINS, required=False)
    condition_lines = ConditionLinesField(required=False, initial=list)
    event_map = PairLinesField(
        separator="=", example="purchase = af_purchase", longest_value=255, initial=dict
    )
    headers = PairLinesField(
        separator=":", example="X-Api-Key: {{credential.api_key}}", longest_value=8192, initial=dict
    )
    success_codes = SuccessCodesField(max_length=200)
    body_contains = forms.CharField(required=False, max_length=1024, strip=False)
    json_path = forms.CharField(required=False, max_length=1024)
    json_equals = ExpectedValueField(required=False, max_length=1024)
    retry_delays = WaitsField(required=False, initial=default_delays)

    def __init__(self, *args: object, **kwargs: object) -> None:
        given, *rest = args or (kwargs.pop("data", None),)
        sent = with_fix(filled_in(given)) if isinstance(given, QueryDict) else given
        super().__init__(sent, *rest, **kwargs)
        self.found: tuple[RuleError, ...] = ()  # by the rulebook
        self.initial = {
            **success_inputs(self.instance.success),
            **condition_inputs(self.instance.conditions),
            **authentication_inputs(self.instance.authentication),
            **self.initial,
        }
        if not self.instance.pk:
            self.initial["triggers"] = []  # people say which; the API's default is any event
        for name, field in self.fields.items():
            field.label = LABELS.get(name, field.label)
            field.help_text = HELP.get(name, field.help_text)
            _dress(name, field)
        if "body" in self.fields:
            self.fields["body"].strip = False  # type: ignore[attr-defined]  # a text, to the byte
        if "status" in self.fields:
            self.fields["status"].show_hidden_initial = True
        self._word_choices()

    @property
    def is_unfinished(self) -> bool:
        """Tell whether the form was sent for a look at it, with more to come."""
        return self.is_looked_at or LIVE in self.data

    @property
    def is_looked_at(self) -> bool:
        """Tell whether a button without scripts was pressed that saves nothing."""
        return any(name in self.data for name in (PREVIEW, FIX, FILL))

    def is_valid(self) -> bool:
        return super().is_valid() and not self.is_unfinished

    def problems_of(self, name: str) -> tuple[ShownProblem, ...]:
        errors = self.errors.as_data().get(name, []) if self.is_bound else []
        return shown(errors, unfinished=self.is_unfinished)

    def field_of(self, problem: RuleError) -> str | None:
        """Return the input that a problem stands beside; None if there is none."""
        field, _, member = problem.field.partition(".")
        if field == "authentication":
            field = f"auth_{member or 'type'}"
        if field == "success":
            field = "json_path" if problem.message.startswith("json_path") else "success_codes"
        return field if field in self.fields else None

    def clean(self) -> dict[str, object] | None:
        cleaned = super().clean() or self.cleaned_data
        path, expected = cleaned.get("json_path"), cleaned.get("json_equals")
        if path and expected == "":
            self.add_error("json_equals", "Write what the path must lead to, for example ok.")
        if expected and path == "":
            self.add_error("json_path", "Write where in the answer to look, for example status.")
        return cleaned

    def clean_status(self) -> str:
        """Return the status as it is now, unless the person has chosen another one.

        While the page was open, the rule may have been suspended, or paused by a colleague.
        """
        chosen = str(self.cleaned_data["status"])
        return chosen if "status" in self.changed_data else str(self.instance.status)

    def clean_body(self) -> str:
        """Return the body with the line ends of the API; a browser sends others."""
        return str(self.cleaned_data["body"]).replace("\r\n", "\n")

    def _clean_fields(self) -> None:
        super()._clean_fields()  # type: ignore[misc]  # not in the stubs
        for name in _WRITTEN_AS_TEXT if self.instance.pk else ():
            if name in self.cleaned_data and self._is_untouched(name):
                self.cleaned_data[name] = self[name].initial

    def _is_untouched(self, name: str) -> bool:
        """Tell whether a field came back as it was shown.

        Then the rule keeps what it has: the API takes names with commas and texts with line ends
        that can't be read again from what a browser shows of them.
        """
        bound = self[name]
        shown = bound.field.prepare_value(bound.initial)
        is_area = isinstance(bound.field.widget, forms.Textarea)
        return _as_sent(shown, is_area=is_area) == _as_sent(bound.data, is_area=is_area)

    def _post_clean(self) -> None:
        super()._post_clean()
        if "url" in self.fields and "url" not in self.cleaned_data:
            self.instance.url = ""  # or a preview would show the address that was erased
        if "success_codes" in self.fields:
            self.instance.success = success_of(self.cleaned_data)
            self.instance.conditions = conditions_of(self.cleaned_data)
            self.instance.authentication = authentication_of(self.cleaned_data)
        try:
            problems = saving.check(definition_from(self.instance))
        except msgspec.ValidationError:
            return  # what has the wrong shape has its error already
        self.found = problems
        told = set(self.errors)
        for found in problems:
            problem = as_line_problem(found) if found.field.startswith("conditions") else found
            field = self.field_of(problem)
            if field not in told:
                text = self._text_of(problem)
                fix = fix_of_problem(found, self[field], self.instance, text) if field else None
                self.add_error(field, template_error(problem, text, fix))

    def _text_of(self, problem: RuleError) -> str:
        field, _, header = problem.field.partition(".")
        if header and field == "headers":
            return str(self.instance.headers.get(header, ""))
        return str(getattr(self.instance, field, ""))

    def _word_choices(self) -> None:
        offered = {*_CHOSEN_BY_PEOPLE, RuleStatus(self.instance.status or RuleStatus.DRAFT)}
        self._offer("status", [(it.value, STATUSES[it]) for it in RuleStatus if it in offered])
        self._offer("attribution_scope", list(SCOPES.items()))
        self._offer("method", [(method.value, method.value) for method in HttpMethod])
        for name, empty in (("app", "All apps"), ("partner", "No partner")):
            field = self.fields.get(name)
            if isinstance(field, forms.ModelChoiceField):
                field.empty_label = empty

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields.get(name)
        if isinstance(field, forms.ChoiceField):
            field.choices = choices


class SwitchedRuleForm(CallbackRuleForm):
    """A rule's form. `tested` names the requests that this person has just seen to work."""

    tested: ClassVar[Collection[str]] = ()

    asks_for_test = False

    def __init__(self, *args: object, **kwargs: object) -> None:
        given, *rest = args or (kwargs.pop("data", None),)
        super().__init__(_switched_on(given), *rest, **kwargs)

    def is_valid(self) -> bool:
        if not super().is_valid():
            return False
        self.asks_for_test = ANYWAY not in self.data and self._is_switched_on_untested()
        return not self.asks_for_test

    def _is_switched_on_untested(self) -> bool:
        is_switched_on = self.cleaned_data.get("status") == RuleStatus.ACTIVE
        if not is_switched_on or self.initial.get("status") == RuleStatus.ACTIVE:
            return False
        try:
            return proof_of(definition_from(self.instance)) not in self.tested and not is_proven(
                self.instance
            )
        except msgspec.ValidationError:
            return False  # what has the wrong shape is refused elsewhere


def _switched_on(data: object) -> object:
    if not isinstance(data, QueryDict) or not {SWITCH_ON, ANYWAY} & data.keys():
        return data
    changed = data.copy()
    changed["status"] = RuleStatus.ACTIVE.value
    return changed


def to_its_log(request: HttpRequest, rule: CallbackRule) -> HttpResponseRedirect | None:
    """Return the way to the log of a rule that was just switched on: there the proof appears."""
    if not {SWITCH_ON, ANYWAY} & request.POST.keys():
        return None
    messages.info(request, "From now on, each postback of this rule appears here.")
    address = reverse("admin:postbacks_postback_changelist")
    return HttpResponseRedirect(f"{address}?rule={rule.pk}")


PREVIEW = "_preview"

LIVE = "_live"

_CHOSEN_BY_PEOPLE = (RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED)

_WRITTEN_AS_TEXT = (
    "triggers", "condition_lines", "event_map", "headers", "body", "body_contains",
)  # fmt: skip


def _as_sent(value: object, *, is_area: bool) -> str:
    """Return a text as a browser sends it from an area of lines, or from a single line."""
    text = str(value or "").replace("\r\n", "\n").replace("\r", "\n")
    return text if is_area else text.replace("\n", "")


def _dress(name: str, field: forms.Field) -> None:
    attrs = field.widget.attrs
    is_checkbox = isinstance(field.widget, forms.CheckboxInput)
    attrs["class"] = "rule-check" if is_checkbox else "rule-input"
    attrs["aria-describedby"] = f"id_{name}_helptext problems-{name}"
    attrs["autocomplete"] = "off"
    if isinstance(field.widget, forms.Textarea):
        attrs.update({"rows": 5 if name == "body" else 3, "spellcheck": "false"})
        attrs.pop("cols", None)
    if name in {"url", "headers", "body"}:
        attrs["data-template"] = ""
