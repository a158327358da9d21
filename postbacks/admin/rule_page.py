"""All that the page of one callback rule shows, for its template."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from postbacks.admin.macro_palette import MacroGroup, ShownMacro, filters, macro_groups, own_groups
from postbacks.admin.rule_form import PREVIEW, CallbackRuleForm
from postbacks.admin.rule_layout import ShownField, ShownSection, sections_of
from postbacks.admin.rule_preview import ShownPreview, preview_of
from postbacks.admin.rule_suspension import Suspension, suspension_of
from postbacks.admin.rule_texts import LABELS
from postbacks.admin.rule_words import Line, SavedVersion, history_of, words_of
from postbacks.insights.recent_events import recent_event_names
from postbacks.models import CallbackRule

_STANDARD_NAMES = ("install", "open", "registration", "purchase")


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A problem in the list that leads to its field."""

    field: str
    label: str
    message: str


@dataclass(frozen=True, slots=True)
class RulePage:
    """What the template draws. Readers get `lines` in place of `sections`."""

    preview: ShownPreview
    problems: tuple[FieldProblem, ...]
    is_looked_at: bool  # sent for a look without JavaScript
    is_refused: bool = False  # was to be saved, and could not
    sections: tuple[ShownSection, ...] = ()
    lines: tuple[Line, ...] = ()
    history: tuple[SavedVersion, ...] = ()
    event_names: tuple[str, ...] = ()
    own_macros: tuple[MacroGroup, ...] = ()
    macros: tuple[MacroGroup, ...] = ()
    filters: tuple[ShownMacro, ...] = ()
    saved: CallbackRule | None = None
    suspension: Suspension | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what is remarked on any field, each remark once."""
        return tuple(dict.fromkeys(it for field in self.fields for it in field.remarks))

    @property
    def fields(self) -> Iterable[ShownField]:
        """Return the fields of all sections."""
        return (
            field for section in self.sections for group in section.groups for field in group.fields
        )


def page_of(
    form: CallbackRuleForm, *, saved: CallbackRule | None, may_write: bool, chosen: str
) -> RulePage:
    """Return what the page of a rule shows; `chosen` is the event to look at it with."""
    page = live_page_of(form, may_write=may_write, chosen=chosen)
    page = replace(page, is_refused=form.is_bound and not page.is_looked_at)
    if saved is not None:
        page = replace(page, saved=saved, history=history_of(saved))
        # The form has put what was chosen into the rule: the row says what it is.
        page = replace(page, suspension=suspension_of(saved.pk))
    if not may_write:
        return replace(page, lines=words_of(saved) if saved is not None else ())
    names = dict.fromkeys((*_STANDARD_NAMES, *recent_event_names()))
    return replace(page, event_names=tuple(names), macros=macro_groups(), filters=filters())


def live_page_of(form: CallbackRuleForm, *, may_write: bool, chosen: str) -> RulePage:
    """Return the part of the page that changes while a person writes."""
    sections = sections_of(form) if may_write else ()
    preview = preview_of(form.instance, chosen=chosen)
    return RulePage(
        preview=preview,
        problems=_listed(sections, preview),
        is_looked_at=PREVIEW in form.data,
        sections=sections,
        own_macros=own_groups(form.instance.partner, preview.parameters),
    )


def _listed(sections: Iterable[ShownSection], preview: ShownPreview) -> tuple[FieldProblem, ...]:
    """Return the fields' problems, and after them those that only rendering found."""
    fields = [field for section in sections for group in section.groups for field in group.fields]
    beside = tuple(
        FieldProblem(field.bound.name, str(field.bound.label), problem.message)
        for field in fields
        for problem in field.problems
    )
    told = {problem.field for problem in beside}
    found = tuple(
        FieldProblem(name, LABELS.get(name, name.capitalize()), problem.message)
        for problem in preview.problems
        if (name := problem.field.partition(".")[0]) not in told
    )
    return (*beside, *found)
