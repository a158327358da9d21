"""Makes a partner of a template: the partner, its credentials, and draft rules that fit.

It needs the registry's partners and the rulebook's checks, so it stands above both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from apps_registry.models import App, Partner, User
from postbacks.callbacks.partner_templates import (
    PartnerTemplate,
    RuleTemplate,
    definition_from_template,
)
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving

_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Reported:
    """What one rule of a template is to report: our names, and the partner's where asked for."""

    rule: RuleTemplate
    events: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person has said to a template's questions."""

    name: str
    credentials: Mapping[str, str]
    reported: Sequence[Reported]
    app: App | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """The partner and its draft rules."""

    partner: Partner
    rules: tuple[CallbackRule, ...]


def make_partner(
    template: PartnerTemplate, answers: Answers, *, allowed_hosts: Sequence[str], by: User | None
) -> Made:
    """Make a partner and a draft rule for each request that has events.

    `allowed_hosts` are the template's, or those that an owner gave. Raises RuleProblemsError and
    then makes nothing.
    """
    with transaction.atomic():
        partner = Partner(
            name=answers.name, template=template.name, allowed_hosts=list(allowed_hosts)
        )
        partner.save()
        partner.set_credentials(answers.credentials)
        chosen = [it for it in answers.reported if it.events]
        return Made(partner, tuple(_draft(partner, it, answers, by) for it in chosen))


def _draft(partner: Partner, chosen: Reported, answers: Answers, by: User | None) -> CallbackRule:
    definition = definition_from_template(
        chosen.rule, chosen.events, names=chosen.names, address=answers.address
    )
    rule = CallbackRule(
        name=_free_name(f"{partner.name}: {chosen.rule.title}"),
        app=answers.app,
        partner=partner,
        status=RuleStatus.DRAFT,
        **definition,
    )
    saving.save(rule, by=by)
    return rule


def _free_name(wanted: str) -> str:
    """Return the name, with a number behind it where another rule in use has it."""
    wanted = wanted[: _LONGEST_NAME - 4]
    taken = set(
        CallbackRule.objects.filter(name__startswith=wanted)
        .exclude(status=RuleStatus.ARCHIVED)
        .values_list("name", flat=True)
    )
    numbered = (f"{wanted} {number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(it for it in numbered if it not in taken)
