"""Exports the current organization's configuration, always in the same order."""

from decimal import Decimal

import msgspec
from django.db import models

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.models import App, Campaign, ConversionMeaning, Organization, Partner
from apps_registry.tenancy import Lifecycle, current_organization
from postbacks.callbacks.rules.definition import CONTENT_FIELDS
from postbacks.configuration.alerts import alert_parts
from postbacks.configuration.document import (
    FORMAT,
    VERSION,
    AppPart,
    CampaignPart,
    ConversionPart,
    Document,
    OrganizationPart,
    PartnerPart,
)
from postbacks.configuration.links_and_settings import credit_parts, link_parts
from postbacks.configuration.schedules import schedule_parts
from postbacks.models import CallbackRule, RuleStatus

_APP_RELATIONS = ("bundle_ids", "conversion_meanings")
RULE_REFERENCES = ("app", "partner")
RULE_FIELDS = ("name", "status", *CONTENT_FIELDS)


def export_configuration(*, with_callbacks: bool) -> dict[str, object]:
    """Return the configuration as JSON types, and note the export in the audit log.

    The callback URLs of alerts may hold a key: they are for those who may set up alerts.
    """
    log_action(Action.EXPORTED, name="configuration")
    organization = Organization.objects.get(pk=current_organization() or 0)
    document = Document(
        format=FORMAT,
        version=VERSION,
        organization=OrganizationPart(
            time_zone=organization.time_zone, currency=organization.currency
        ),
        apps=[_app(app) for app in _in_use(App).prefetch_related(*_APP_RELATIONS)],
        partners=[
            _partner(partner) for partner in _in_use(Partner).prefetch_related("credentials")
        ],
        campaigns=_campaigns(),
        tracking_links=link_parts(),
        attribution_settings=credit_parts(),
        callback_rules=[rule_part(rule) for rule in _rules()],
        alerts=alert_parts(with_callbacks=with_callbacks),
        export_schedules=schedule_parts(),
    )
    exported: dict[str, object] = msgspec.to_builtins(document)
    return exported


def rule_part(rule: CallbackRule) -> dict[str, object]:
    """Return a rule's fields by name, app and partner by their names."""
    values = {name: getattr(rule, name) for name in RULE_FIELDS}
    if rule.status == RuleStatus.SUSPENDED:
        values["status"] = RuleStatus.PAUSED  # we suspended it here; elsewhere it is just not on
    references = {name: _name(getattr(rule, name)) for name in RULE_REFERENCES}
    part: dict[str, object] = msgspec.to_builtins({**values, **references})
    return part


def plain(share: Decimal) -> str:
    """Return a decimal without trailing zeros."""
    return f"{share.normalize():f}"


def _app(app: App) -> AppPart:
    return AppPart(
        name=app.name,
        platform=app.platform,
        store_id=app.store_id,
        time_zone=app.time_zone,
        store_share=plain(app.store_share),
        bundle_ids=sorted(bundle_id.identifier for bundle_id in app.bundle_ids.all()),
        conversion_values=[_conversion(meaning) for meaning in app.conversion_meanings.all()],
    )


def _conversion(meaning: ConversionMeaning) -> ConversionPart:
    least, most = meaning.least_revenue, meaning.most_revenue
    return ConversionPart(
        first_value=meaning.first_value,
        last_value=meaning.last_value,
        coarse_value=meaning.coarse_value,
        sequence=meaning.sequence,
        event_name=meaning.event_name,
        least_revenue=None if least is None else plain(least),
        most_revenue=None if most is None else plain(most),
        currency=meaning.currency,
    )


def _partner(partner: Partner) -> PartnerPart:
    return PartnerPart(
        name=partner.name,
        allowed_hosts=list(partner.allowed_hosts),
        credentials=sorted(credential.name for credential in partner.credentials.all()),
        template=partner.template,
        skadnetwork_ids=list(partner.skadnetwork_ids),
    )


def _campaigns() -> list[CampaignPart]:
    """Return the active campaigns of active apps and partners."""
    rows = _in_use(Campaign).filter(app__status=Lifecycle.ACTIVE, partner__status=Lifecycle.ACTIVE)
    return [
        CampaignPart(row.name, row.app.name, row.partner.name, row.remote_campaign_id)
        for row in rows.select_related("app", "partner").order_by("app__name", "name")
    ]


def _rules() -> "models.QuerySet[CallbackRule]":
    """Return the rules that can still send: neither they nor their app or partner is archived."""
    archived = models.Q(app__status=Lifecycle.ARCHIVED) | models.Q(
        partner__status=Lifecycle.ARCHIVED
    )
    rows = CallbackRule.objects.select_related("app", "partner").order_by("name")
    return rows.exclude(status=RuleStatus.ARCHIVED).exclude(archived)


def _in_use(model: type[models.Model]) -> "models.QuerySet":
    return model._default_manager.filter(status=Lifecycle.ACTIVE).order_by("name")


def _name(row: App | Partner | None) -> str | None:
    return row.name if row else None
