"""The form of a callback rule: plain inputs, and the rulebook's errors beside their fields."""

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
    AnswerMarksField,
    AuthenticationInputs,
    ConditionLinesField,
    EventNamesField,
    ExpectedValueField,
    PairLinesField,
    SuccessCodesField,
    WaitsField,
    authentication_from,
    authentication_inputs,
    condition_inputs,
    conditions_from,
    line_error,
    success_from,
    success_inputs,
)
from postbacks.admin.rules.filling import FILL, filled_from_template
from postbacks.admin.rules.held import HELD
from postbacks.admin.rules.help_texts import IF_EMPTY, INPUT_HELP, LABELS, SCOPES, STATUSES
from postbacks.admin.rules.hints import (
    FIX,
    ProblemView,
    located_error,
    problem_fix,
    problem_views,
    with_fix_applied,
)
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.macros.compiler import MOST_HEADERS
from postbacks.callbacks.rules.definition import MOST_MAPPED
from postbacks.callbacks.rules.versions import definition_from
from postbacks.callbacks.translation import read_rule_url
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.rules import default_delays
from postbacks.rulebook import saving
from postbacks.rulebook.held_postbacks import held_count, refused_as_gone
from postbacks.rulebook.test_send import is_proven, proof_of
from postbacks.values.rule_choices import HttpMethod

# The names of buttons.
ANYWAY = "_anyway"
LIVE = "_live"
PREVIEW = "_preview"
SWITCH_ON = "_switch_on"

_STATUSES_TO_CHOOSE = (RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED)
# Fields whose stored values can't all be read again from the text that shows them.
_SHOWN_AS_TEXT = ("triggers", "condition_lines", "event_map", "headers", "body", "body_contains")


class CallbackRuleForm(TenantForm, AuthenticationInputs):
    """Checks a rule as the rulebook does before it is saved; `rule_errors` are the rulebook's."""

    triggers = EventNamesField()
    conditions_join = forms.ChoiceField(choices=JOINS, required=False)
    condition_lines = ConditionLinesField(required=False, initial=list)
    event_map = PairLinesField(
        separator="=",
        example="purchase = af_purchase",
        longest_value=255,
        most=MOST_MAPPED,
        initial=dict,
    )
    headers = PairLinesField(
        separator=":",
        example="X-Api-Key: {{credential.api_key}}",
        longest_value=8192,
        most=MOST_HEADERS,
        initial=dict,
    )
    success_codes = SuccessCodesField(max_length=200)
    body_contains = forms.CharField(required=False, max_length=1024, strip=False)
    json_path = forms.CharField(required=False, max_length=1024)
    json_equals = ExpectedValueField(required=False, max_length=1024)
    success_final = AnswerMarksField(required=False, max_length=65_536)
    success_retry = AnswerMarksField(required=False, max_length=65_536)
    retry_delays = WaitsField(required=False, initial=default_delays)

    def __init__(self, *args: object, **kwargs: object) -> None:
        data, *rest = args or (kwargs.pop("data", None),)
        if isinstance(data, QueryDict):
            data = with_fix_applied(filled_from_template(data))
        super().__init__(data, *rest, **kwargs)
        self.rule_errors: tuple[RuleError, ...] = ()
        self.url_notes: tuple[str, ...] = ()  # what was done to read the address as it was meant
        self.initial = {
            **success_inputs(self.instance.success),
            **condition_inputs(self.instance.conditions),
            **authentication_inputs(self.instance.authentication),
            **self.initial,
        }
        if not self.instance.pk:
            self.initial["triggers"] = []  # people choose; the API's default is any event
        for name, field in self.fields.items():
            field.label = LABELS.get(name, field.label)
            field.help_text = INPUT_HELP.get(name, field.help_text)
            if name in IF_EMPTY:
                field.error_messages["required"] = f"This field is required. {IF_EMPTY[name]}"
            _add_attributes(name, field)
        if "body" in self.fields:
            self.fields["body"].strip = False  # type: ignore[attr-defined]  # a text, to the byte
        if "status" in self.fields:
            self.fields["status"].show_hidden_initial = True
        self._set_choices()

    @property
    def is_unfinished(self) -> bool:
        """Return whether the form was sent only to show its preview, by a script or by a button."""
        return self.saves_nothing or LIVE in self.data

    @property
    def saves_nothing(self) -> bool:
        """Return whether a button was pressed that changes or previews the form without saving."""
        return any(name in self.data for name in (PREVIEW, FIX, FILL))

    def is_valid(self) -> bool:
        return super().is_valid() and not self.is_unfinished

    def problems_of(self, name: str) -> tuple[ProblemView, ...]:
        errors = self.errors.as_data().get(name, []) if self.is_bound else []
        return problem_views(errors, unfinished=self.is_unfinished)

    def field_of(self, problem: RuleError) -> str | None:
        """Return the input beside which a problem stands; None if there is none."""
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
        # While the page was open, the rule may have been suspended, or paused by a colleague:
        # the status stays as it is now, unless this person has chosen another one.
        chosen = str(self.cleaned_data["status"])
        return chosen if "status" in self.changed_data else str(self.instance.status)

    def clean_url(self) -> str:
        read = read_rule_url(str(self.cleaned_data["url"]))
        self.url_notes = read.notes
        return read.urls[0]

    def clean_body(self) -> str:
        return str(self.cleaned_data["body"]).replace("\r\n", "\n")  # browsers send CRLF

    def _clean_fields(self) -> None:
        super()._clean_fields()  # type: ignore[misc]  # not in the stubs
        for name in _SHOWN_AS_TEXT if self.instance.pk else ():
            if name in self.cleaned_data and self._is_untouched(name):
                self.cleaned_data[name] = self[name].initial

    def _is_untouched(self, name: str) -> bool:
        """Return whether a field came back as it was shown; then the rule keeps what it has.

        The API takes names with commas and texts with line ends that can't be read again from
        their display in a browser.
        """
        bound = self[name]
        displayed = bound.field.prepare_value(bound.initial)
        is_area = isinstance(bound.field.widget, forms.Textarea)
        return _as_sent(displayed, is_area=is_area) == _as_sent(bound.data, is_area=is_area)

    def _post_clean(self) -> None:
        super()._post_clean()
        if "url" in self.fields and "url" not in self.cleaned_data:
            self.instance.url = ""  # or a preview would show the address that was erased
        if "success_codes" in self.fields:
            self.instance.success = success_from(self.cleaned_data)
            self.instance.conditions = conditions_from(self.cleaned_data)
            self.instance.authentication = authentication_from(self.cleaned_data)
        try:
            definition = definition_from(self.instance)
            room = [] if self.is_unfinished else saving.lacks_room(self.instance, definition)
            self.rule_errors = (*saving.check(definition), *room)
        except msgspec.ValidationError:
            return  # a value of the wrong shape has its error already
        is_saved = self.rule_errors and not self.is_unfinished
        if is_saved and saving.is_only_switched_off(self.instance):
            return
        fields_with_errors = set(self.errors)
        for rule_error in self.rule_errors:
            is_condition = rule_error.field.startswith("conditions")
            problem = line_error(rule_error) if is_condition else rule_error
            field = self.field_of(problem)
            if field not in fields_with_errors:
                text = self._text_of(problem)
                fix = problem_fix(rule_error, self[field], self.instance, text) if field else None
                self.add_error(field, located_error(problem, text, fix))

    def _text_of(self, problem: RuleError) -> str:
        field, _, header = problem.field.partition(".")
        if header and field == "headers":
            return str(self.instance.headers.get(header, ""))
        return str(getattr(self.instance, field, ""))

    def _set_choices(self) -> None:
        offered = {*_STATUSES_TO_CHOOSE, RuleStatus(self.instance.status or RuleStatus.DRAFT)}
        self._offer(
            "status",
            [(status.value, STATUSES[status]) for status in RuleStatus if status in offered],
        )
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
    """A rule's form that asks before a rule is switched on that is untested or holds postbacks.

    `tested` has the proofs of the requests that this person has just seen to work.
    """

    tested: ClassVar[Collection[str]] = ()
    asks_for_test = False
    asks_about_held = False

    def __init__(self, *args: object, **kwargs: object) -> None:
        data, *rest = args or (kwargs.pop("data", None),)
        super().__init__(_switched_on(data), *rest, **kwargs)

    def is_valid(self) -> bool:
        if not super().is_valid():
            return False
        if not self._is_switched_on():
            return True
        self.asks_for_test = ANYWAY not in self.data and self._is_untested()
        self.asks_about_held = not self.asks_for_test and self._leaves_held_open()
        return not (self.asks_for_test or self.asks_about_held)

    @property
    def answered(self) -> list[str]:
        """Return the buttons of earlier questions, which stay answered."""
        return [name for name in (SWITCH_ON, ANYWAY) if name in self.data]

    def _is_switched_on(self) -> bool:
        is_on = self.cleaned_data.get("status") == RuleStatus.ACTIVE
        return is_on and self.initial.get("status") != RuleStatus.ACTIVE

    def _leaves_held_open(self) -> bool:
        if HELD in self.data or self.instance.pk is None:
            return False
        if held_count(self.instance) > 0:
            return True
        is_suspended = self.initial.get("status") == RuleStatus.SUSPENDED
        return is_suspended and bool(refused_as_gone(self.instance))

    def _is_untested(self) -> bool:
        try:
            return proof_of(definition_from(self.instance)) not in self.tested and not is_proven(
                self.instance
            )
        except msgspec.ValidationError:
            return False  # a value of the wrong shape is refused elsewhere


def _switched_on(data: object) -> object:
    if not isinstance(data, QueryDict) or not {SWITCH_ON, ANYWAY} & data.keys():
        return data
    changed = data.copy()
    changed["status"] = RuleStatus.ACTIVE.value
    return changed


def redirect_to_log(request: HttpRequest, rule: CallbackRule) -> HttpResponseRedirect | None:
    """Lead to the log of a rule that was just switched on: there its first postbacks appear."""
    if not {SWITCH_ON, ANYWAY, HELD} & request.POST.keys():
        return None
    messages.info(request, "From now on, each postback of this rule appears here.")
    address = reverse("admin:postbacks_postback_changelist")
    return HttpResponseRedirect(f"{address}?rule={rule.pk}")


def _as_sent(value: object, *, is_area: bool) -> str:
    """Return a text as a browser sends it from a textarea, or from an input of one line."""
    text = str(value or "").replace("\r\n", "\n").replace("\r", "\n")
    return text if is_area else text.replace("\n", "")


def _add_attributes(name: str, field: forms.Field) -> None:
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
