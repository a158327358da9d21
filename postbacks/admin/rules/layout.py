"""Where the fields of a callback rule stand: four sections, what is rarely needed folded away."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.forms import BoundField

from postbacks.admin.rules.fields import AUTHENTICATION_FIELDS
from postbacks.admin.rules.form import CallbackRuleForm
from postbacks.admin.rules.hints import (
    ShownFix,
    ShownProblem,
    as_words,
    fix_of_remark,
    marks_in,
    typed,
)
from postbacks.admin.rules.request_parts import indented_template
from postbacks.callbacks.lint import Fix, RuleWarning
from postbacks.callbacks.macros import BodyType, RuleError
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


@dataclass(frozen=True, slots=True)
class ShownRemark:
    """A remark beside a field, with the button that does something about it."""

    message: str
    fix: ShownFix | None


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field as the page draws it; `marks` are None where nothing is marked in its text."""

    bound: BoundField
    problems: tuple[ShownProblem, ...]
    remarks: tuple[ShownRemark, ...]
    marks: str | None
    layout: ShownFix | None  # of a JSON body: with one member to a line
    is_wide: bool
    is_checkbox: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a rule, and what is odd about it."""

    problems: tuple[RuleError, ...] = ()
    remarks: tuple[RuleWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """A group as the page draws it."""

    title: str
    fields: tuple[ShownField, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section as the page draws it."""

    title: str
    sentence: str
    groups: tuple[ShownGroup, ...]


LAYOUT = (
    Section(
        "When",
        "Which events send a postback.",
        (
            FieldGroup(("name", "status", "app", "partner", "triggers", "frequency")),
            FieldGroup(("condition_lines", "conditions_join"), "Conditions"),
            FieldGroup(
                (
                    "attribution_scope", "event_map", "window_days", "sampling_percent",
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
        (FieldGroup(("success_codes", "body_contains", "json_path", "json_equals")),),
    ),
    Section(
        "Delivery",
        "How long we try, and how fast.",
        (
            FieldGroup(("timeout_seconds", "retry_delays")),
            FieldGroup(("rate_limit_per_second", "max_in_flight"), "More: limits"),
        ),
    ),
)  # fmt: skip

FIELDS = tuple(name for section in LAYOUT for group in section.groups for name in group.fields)
TEMPLATES = ("url", "headers", "body")
_WIDE = {"triggers", "condition_lines", "event_map", "url", "headers", "body", "retry_delays"}
_CHECKBOXES = {"send_revenue", "sign"}
# What a group of inputs is made of where they are not fields of the rule themselves.
_KEPT_IN = {"condition_lines": "conditions", "auth_type": "authentication"}


def sections_of(form: CallbackRuleForm, found: Findings) -> tuple[ShownSection, ...]:
    """Return the form in the order in which the page draws it."""
    return tuple(
        ShownSection(section.title, section.sentence, tuple(_groups(section, form, found)))
        for section in LAYOUT
    )


def _groups(section: Section, form: CallbackRuleForm, found: Findings) -> Iterator[ShownGroup]:
    untouched = CallbackRule()
    for group in section.groups:
        fields = tuple(_field(form, name, found) for name in group.fields)
        is_set = any(_differs(form.instance, untouched, name) for name in group.fields)
        yield ShownGroup(group.title, fields, is_set or any(it.problems for it in fields))


def _field(form: CallbackRuleForm, name: str, found: Findings) -> ShownField:
    bound = form[name]
    remarks = (
        ShownRemark(_sentence(it), fix_of_remark(it, bound, form.instance))
        for it in found.remarks
        if it.field.partition(".")[0] == name
    )
    return ShownField(
        bound=bound,
        problems=form.problems_of(name),
        remarks=tuple(remarks),
        marks=_marks(form, bound, found) if name in TEMPLATES else None,
        layout=_layout(bound, form.instance) if name == "body" else None,
        is_wide=name in _WIDE,
        is_checkbox=name in _CHECKBOXES,
    )


def _layout(bound: BoundField, rule: CallbackRule) -> ShownFix | None:
    text = indented_template(rule.body) if rule.body_type == BodyType.JSON else None
    place = typed(bound, rule, "body") if text is not None else None
    return place.shown(Fix(0, len(rule.body), text)) if place and text is not None else None


def _sentence(remark: RuleWarning) -> str:
    header = remark.field.partition(".")[2]
    return f"{header}: {remark.message}" if header else remark.message


def _marks(form: CallbackRuleForm, bound: BoundField, found: Findings) -> str:
    rule, name = form.instance, bound.name
    texts = {name: str(getattr(rule, name) or "")} if name != "headers" else _headers(rule)
    places = ((typed(bound, rule, field), field, text) for field, text in texts.items())
    return as_words(
        mark
        for place, field, text in places
        if place is not None
        for mark in marks_in(
            place,
            text,
            [it for it in found.problems if it.field == field],
            [it for it in found.remarks if it.field == field],
        )
    )


def _headers(rule: CallbackRule) -> dict[str, str]:
    headers = rule.headers if isinstance(rule.headers, dict) else {}
    return {f"headers.{name}": str(value) for name, value in headers.items()}


def _differs(rule: CallbackRule, untouched: CallbackRule, name: str) -> bool:
    kept_in = _KEPT_IN.get(name, name)
    return bool(getattr(rule, kept_in, None) != getattr(untouched, kept_in, None))
