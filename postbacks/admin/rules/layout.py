"""Lay the form of a callback rule out: four sections, with rarely needed fields folded away."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.forms import BoundField

from postbacks.admin.rules.fields import AUTHENTICATION_FIELDS
from postbacks.admin.rules.form import CallbackRuleForm
from postbacks.admin.rules.hints import (
    FixButton,
    ProblemView,
    input_text,
    marks_attribute,
    marks_in,
    remark_fix,
)
from postbacks.admin.rules.request_parts import indented_template
from postbacks.callbacks.lint import LOSES_IN_SILENCE, Fix, RuleWarning
from postbacks.callbacks.macros import BodyType, RuleError
from postbacks.callbacks.macros.compiler import MOST_HEADERS
from postbacks.models import CallbackRule


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields that stand together; with a title they are folded away."""

    fields: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One step of writing a rule."""

    title: str
    sentence: str
    groups: tuple[FieldGroup, ...]


LAYOUT = (
    Section(
        "When",
        "Which events send a postback.",
        (
            FieldGroup(("name", "status", "app", "partner", "triggers", "frequency")),
            FieldGroup(("condition_lines", "conditions_join"), "Conditions"),
            FieldGroup(
                (
                    "attribution_scope",
                    "event_map",
                    "window_days",
                    "sampling_percent",
                    "delay_seconds",
                ),
                "More: whose installs, event map, window, sampling, delay",
            ),
        ),
    ),
    Section(
        "Send",
        "What the partner gets.",
        (
            FieldGroup(("method", "url")),
            FieldGroup(("headers", "body_type", "body"), "Headers and body"),
            FieldGroup((*AUTHENTICATION_FIELDS, "sign"), "Authentication and signature"),
            FieldGroup(
                ("missing_values", "without_consent", "send_revenue"),
                "More: missing values, consent, revenue",
            ),
        ),
    ),
    Section(
        "Success",
        "Which answers count as received. All that is filled in must hold.",
        (
            FieldGroup(("success_codes", "body_contains", "json_path", "json_equals")),
            FieldGroup(("success_final", "success_retry"), "More: answers that say no"),
        ),
    ),
    Section(
        "Delivery",
        "How long we try, and how fast.",
        (
            FieldGroup(("timeout_seconds", "retry_delays")),
            FieldGroup(("rate_limit_per_second", "max_in_flight"), "More: limits"),
        ),
    ),
)
FIELDS = tuple(name for section in LAYOUT for group in section.groups for name in group.fields)
TEMPLATES = ("url", "headers", "body")

_WIDE = {"triggers", "condition_lines", "event_map", "url", "headers", "body", "retry_delays"}
_CHECKBOXES = {"send_revenue", "sign"}
# Inputs that together make one field of the rule, by the first of them.
_MODEL_FIELDS = {"condition_lines": "conditions", "auth_type": "authentication"}


@dataclass(frozen=True, slots=True)
class RemarkView:
    """A warning beside a field, with the button that answers it.

    What `is_costly` fails no request: nobody would notice. `macro` is that of the warning.
    """

    message: str
    fix: FixButton | None
    is_costly: bool
    macro: str


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field as the page draws it; `marks` is None for an input without a template.

    `layout` is the button that gives each member of a JSON body a line of its own.
    """

    bound: BoundField
    problems: tuple[ProblemView, ...]
    remarks: tuple[RemarkView, ...]
    marks: str | None
    layout: FixButton | None
    is_wide: bool
    is_checkbox: bool


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group as the page draws it."""

    title: str
    fields: tuple[FieldView, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class SectionView:
    """A section as the page draws it."""

    title: str
    sentence: str
    groups: tuple[GroupView, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """The errors of a rule, and the remarks on it."""

    problems: tuple[RuleError, ...] = ()
    remarks: tuple[RuleWarning, ...] = ()


def sections_of(form: CallbackRuleForm, findings: Findings) -> tuple[SectionView, ...]:
    """Return the form in the order in which the page draws it."""
    return tuple(
        SectionView(section.title, section.sentence, tuple(_groups(section, form, findings)))
        for section in LAYOUT
    )


def _groups(section: Section, form: CallbackRuleForm, findings: Findings) -> Iterator[GroupView]:
    untouched = CallbackRule()
    for group in section.groups:
        fields = tuple(_field(form, name, findings) for name in group.fields)
        is_set = any(_differs(form.instance, untouched, name) for name in group.fields)
        is_marked = any(view.problems or view.remarks for view in fields)
        yield GroupView(group.title, fields, is_set or is_marked)


def _field(form: CallbackRuleForm, name: str, findings: Findings) -> FieldView:
    bound = form[name]
    remarks = (
        RemarkView(
            _sentence(remark),
            remark_fix(remark, bound, form.instance),
            is_costly=remark.code in LOSES_IN_SILENCE,
            macro=remark.macro,
        )
        for remark in findings.remarks
        if remark.field.partition(".")[0] == _MODEL_FIELDS.get(name, name)
    )
    return FieldView(
        bound=bound,
        problems=form.problems_of(name),
        remarks=tuple(remarks),
        marks=_marks(form, bound, findings) if name in TEMPLATES else None,
        layout=_layout_button(bound, form.instance) if name == "body" else None,
        is_wide=name in _WIDE,
        is_checkbox=name in _CHECKBOXES,
    )


def _layout_button(bound: BoundField, rule: CallbackRule) -> FixButton | None:
    text = indented_template(rule.body) if rule.body_type == BodyType.JSON else None
    typed = input_text(bound, rule, "body") if text is not None else None
    return typed.button(Fix(0, len(rule.body), text)) if typed and text is not None else None


def _sentence(remark: RuleWarning) -> str:
    name, _, header = remark.field.partition(".")
    return f"{header}: {remark.message}" if name == "headers" else remark.message


def _marks(form: CallbackRuleForm, bound: BoundField, findings: Findings) -> str:
    rule, name = form.instance, bound.name
    texts = {name: str(getattr(rule, name) or "")} if name != "headers" else _headers(rule)
    inputs = ((input_text(bound, rule, field), field, text) for field, text in texts.items())
    return marks_attribute(
        mark
        for typed, field, text in inputs
        if typed is not None
        for mark in marks_in(
            typed,
            text,
            [problem for problem in findings.problems if problem.field == field],
            [remark for remark in findings.remarks if remark.field == field],
        )
    )


def _headers(rule: CallbackRule) -> dict[str, str]:
    headers = rule.headers if isinstance(rule.headers, dict) else {}
    # Each is looked for in the input: no more than a rule may have.
    shown = islice(headers.items(), MOST_HEADERS)
    return {f"headers.{name}": str(value) for name, value in shown}


def _differs(rule: CallbackRule, untouched: CallbackRule, name: str) -> bool:
    field = _MODEL_FIELDS.get(name, name)
    return bool(getattr(rule, field, None) != getattr(untouched, field, None))
