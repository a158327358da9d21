"""Remarks on a rule, with what the registry knows of its app and its partner."""

from apps_registry.models import App, Partner
from postbacks.callbacks.lint import Remark, lint
from postbacks.callbacks.partner_templates import RuleTemplate, rule_in_use, template_named
from postbacks.callbacks.rules.definition import RuleDefinition


def remarks_on(definition: RuleDefinition) -> tuple[Remark, ...]:
    """Return what is odd about a rule and keeps nobody from saving it."""
    return lint(definition, platform=platform_of(definition), template=template_in_use(definition))


def platform_of(definition: RuleDefinition) -> str:
    """Return where the rule's app runs; nothing if the rule is for all apps."""
    app = App.objects.filter(pk=definition.app_id).first() if definition.app_id else None
    return app.platform if app is not None else ""


def template_in_use(definition: RuleDefinition) -> RuleTemplate | None:
    """Return the request of its partner's template that a rule still is, if any."""
    partner = (
        Partner.objects.filter(pk=definition.partner_id).first() if definition.partner_id else None
    )
    template = template_named(partner.template) if partner and partner.template else None
    if template is None:
        return None
    return rule_in_use(
        template, url=definition.url, method=definition.method, body_type=definition.body_type
    )
