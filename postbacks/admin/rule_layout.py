"""Where the fields of a callback rule stand: four sections, what is rarely needed folded away."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.forms import BoundField

from postbacks.admin.rule_form import CallbackRuleForm
from postbacks.admin.rule_parts import AUTHENTICATION_FIELDS
from postbacks.admin.rule_problems import ShownProblem
from postbacks.admin.rule_remarks import remarks_on
from postbacks.models import CallbackRule


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that stand together; with a title they are folded away."""

    fields: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One step of writing a rule."""

    title: str
    sentence: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field as the page draws it."""

    bound: BoundField
    problems: tuple[ShownProblem, ...]
    remarks: tuple[str, ...]
    is_wide: bool
    is_checkbox: bool


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
            Group(("name", "status", "app", "partner", "triggers", "frequency")),
            Group(("condition_lines", "conditions_join"), "Conditions"),
            Group(
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
            Group(("method", "url")),
            Group(("headers", "body_type", "body"), "Headers and body"),
            Group((*AUTHENTICATION_FIELDS, "sign"), "Authentication and signature"),
            Group(
                ("missing_values", "without_consent", "send_revenue"),
                "More: missing values, consent, revenue",
            ),
        ),
    ),
    Section(
        "Success",
        "Which answers count as received. All that is filled in must hold.",
        (Group(("success_codes", "body_contains", "json_path", "json_equals")),),
    ),
    Section(
        "Delivery",
        "How long we try, and how fast.",
        (
            Group(("timeout_seconds", "retry_delays")),
            Group(("rate_limit_per_second", "max_in_flight"), "More: limits"),
        ),
    ),
)  # fmt: skip

FIELDS = tuple(name for section in LAYOUT for group in section.groups for name in group.fields)
_TEMPLATES = {"url", "body"}
_WIDE = {"triggers", "condition_lines", "event_map", "url", "headers", "body", "retry_delays"}
_CHECKBOXES = {"send_revenue", "sign"}
# What a group of inputs is made of where they are not fields of the rule themselves.
_KEPT_IN = {"condition_lines": "conditions", "auth_type": "authentication"}


def sections_of(form: CallbackRuleForm) -> tuple[ShownSection, ...]:
    """Return the form in the order in which the page draws it."""
    return tuple(
        ShownSection(section.title, section.sentence, tuple(_groups(section, form)))
        for section in LAYOUT
    )


def _groups(section: Section, form: CallbackRuleForm) -> Iterator[ShownGroup]:
    untouched = CallbackRule()
    for group in section.groups:
        fields = tuple(_field(form, name) for name in group.fields)
        is_set = any(_differs(form.instance, untouched, name) for name in group.fields)
        yield ShownGroup(group.title, fields, is_set or any(it.problems for it in fields))


def _field(form: CallbackRuleForm, name: str) -> ShownField:
    return ShownField(
        bound=form[name],
        problems=form.problems_of(name),
        remarks=_remarks(form.instance, name),
        is_wide=name in _WIDE,
        is_checkbox=name in _CHECKBOXES,
    )


def _remarks(rule: CallbackRule, name: str) -> tuple[str, ...]:
    if name == "headers":
        headers = rule.headers if isinstance(rule.headers, dict) else {}
        return remarks_on("\n".join(str(value) for value in headers.values()))
    return remarks_on(str(getattr(rule, name))) if name in _TEMPLATES else ()


def _differs(rule: CallbackRule, untouched: CallbackRule, name: str) -> bool:
    kept_in = _KEPT_IN.get(name, name)
    return bool(getattr(rule, kept_in, None) != getattr(untouched, kept_in, None))
