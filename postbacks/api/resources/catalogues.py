"""What ships for writing rules, read only: macros, filters and partner templates."""

from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import Partner
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.query import Query
from postbacks.callbacks.macros import CATALOGUE, FILTERS, Macro, MacroGroup, MacroType
from postbacks.callbacks.macros.vendors import vendor_names
from postbacks.callbacks.partner_templates import (
    PartnerTemplate,
    RuleTemplate,
    TemplateGroup,
    VerificationState,
    all_templates,
    definition_from_template,
    template_named,
)
from postbacks.models import CallbackRule


class MacroSerializer(serializers.Serializer):
    """One macro."""

    name = serializers.CharField(help_text="Written {{name}} in a template.")
    group = serializers.ChoiceField([(group.value, group.value) for group in MacroGroup])
    description = serializers.CharField()
    type = serializers.ChoiceField([(kind.value, kind.value) for kind in MacroType])
    example = serializers.CharField()
    platforms = serializers.ListField(
        child=serializers.CharField(),
        help_text="The platforms that have it; an empty list means all.",
    )
    personal = serializers.BooleanField(
        help_text="Identifies a person; left out where consent is missing."
    )
    money = serializers.BooleanField(help_text="Reveals revenue; left out by rules that send none.")
    elsewhere = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Other vendors' names for it, as in their URLs.",
    )


class FilterSerializer(serializers.Serializer):
    """One filter, written after a bar."""

    name = serializers.CharField()
    description = serializers.CharField()
    example = serializers.CharField()


class CatalogueSerializer(serializers.Serializer):
    """All macros and filters, on one page."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = MacroSerializer(many=True)
    filters = FilterSerializer(many=True)


class MacroQuery(Query):
    """Filters of macros."""

    group = serializers.ChoiceField(
        [(group.value, group.value) for group in MacroGroup], required=False
    )
    platform = serializers.CharField(
        required=False, help_text="Only macros that this platform has, for example ios."
    )


class MacroViewSet(OrganizationViewSet):
    """The macros and filters of templates."""

    model = CallbackRule
    pagination_class = None  # type: ignore[assignment]  # the catalogue is one page
    serializer_class = CatalogueSerializer
    queries = {"catalogue": MacroQuery}
    rights = {"catalogue": Right.READ}

    @extend_schema(responses={200: CatalogueSerializer})
    def catalogue(self, request: Request) -> Response:
        """Answer the whole catalogue: it is the same for every organization."""
        query = self.query.validated_data
        macros = [_row(macro) for macro in CATALOGUE.values() if _matches(macro, query)]
        filters = [
            {"name": each.name, "description": each.description, "example": each.example}
            for each in FILTERS.values()
        ]
        return Response({"next": None, "previous": None, "results": macros, "filters": filters})


def _matches(macro: Macro, query: dict[str, str]) -> bool:
    platform = query.get("platform")
    return query.get("group") in {None, macro.group.value} and (
        platform is None or not macro.platforms or platform in macro.platforms
    )


def _row(macro: Macro) -> dict[str, object]:
    return {
        "name": macro.name,
        "group": macro.group.value,
        "description": macro.description,
        "type": macro.type.value,
        "example": macro.example,
        "platforms": macro.platforms,
        "personal": macro.personal,
        "money": macro.money,
        "elsewhere": vendor_names(macro.name),
    }


class VerificationSerializer(serializers.Serializer):
    """The state of the template's verification against the partner."""

    state = serializers.ChoiceField([(state.value, state.value) for state in VerificationState])
    note = serializers.CharField()
    sources = serializers.ListField(child=serializers.CharField())


class AskedCredentialSerializer(serializers.Serializer):
    """A value that the partner gave out."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not the base's own label
    help = serializers.CharField()
    example = serializers.CharField()
    secret = serializers.BooleanField()


class ClickMacroSerializer(serializers.Serializer):
    """A macro of the network for tracking links; empty where it is not known."""

    parameter = serializers.CharField()
    macro = serializers.CharField()
    note = serializers.CharField()


class ParameterRowSerializer(serializers.Serializer):
    """One row of a request."""

    name = serializers.CharField()
    meaning = serializers.CharField()
    value = serializers.JSONField()
    required = serializers.BooleanField()  # type: ignore[assignment]  # a field, likewise
    note = serializers.CharField()


class EventNameSerializer(serializers.Serializer):
    """An event by our name and by the partner's."""

    ours = serializers.CharField()
    theirs = serializers.CharField()


class RuleTemplateSerializer(serializers.Serializer):
    """A request that the partner accepts; `definition` can be posted as a callback rule."""

    title = serializers.CharField()
    asks_names = serializers.CharField()
    events = EventNameSerializer(many=True)
    parameters = ParameterRowSerializer(many=True)
    definition = serializers.DictField()


class PartnerTemplateSerializer(serializers.Serializer):
    """A partner template."""

    name = serializers.CharField()
    title = serializers.CharField()
    group = serializers.ChoiceField([(group.value, group.value) for group in TemplateGroup])
    about = serializers.CharField()
    verification = VerificationSerializer()
    allowed_hosts = serializers.ListField(child=serializers.CharField())
    asks_address = serializers.BooleanField()
    credentials = AskedCredentialSerializer(many=True)
    click_macros = ClickMacroSerializer(many=True)
    rules = RuleTemplateSerializer(many=True)


@extend_schema_serializer(many=False)
class PartnerTemplateListSerializer(serializers.Serializer):
    """All partner templates on one page."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PartnerTemplateSerializer(many=True)


class PartnerTemplateViewSet(OrganizationViewSet):
    """The requests that networks, MMPs and own systems take."""

    model = Partner  # its rows are not read: templates are files
    serializer_class = PartnerTemplateSerializer
    can_be_exported = False
    rights = {"list": RIGHT_TO["template"], "retrieve": RIGHT_TO["template"]}
    lookup_field = "name"
    lookup_url_kwarg = "name"
    lookup_value_converter = "slug"
    http_method_names = ["get", "head"]
    pagination_class = None  # type: ignore[assignment]  # one page holds them all

    @extend_schema(responses={200: PartnerTemplateListSerializer})
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer all templates: there are few."""
        rows = [_template_content(template) for template in all_templates().values()]
        return Response({"next": None, "previous": None, "results": rows})

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer one template."""
        template = template_named(kwargs["name"])
        if template is None:
            raise exceptions.NotFound
        return Response(_template_content(template))


def _template_content(template: PartnerTemplate) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(template)
    return {**content, "rules": [_rule_content(rule) for rule in template.rules]}


def _rule_content(rule: RuleTemplate) -> dict[str, Any]:
    events = [event.ours for event in rule.events]
    return {
        "title": rule.title,
        "asks_names": rule.asks_names,
        "events": msgspec.to_builtins(rule.events),
        "parameters": [
            {
                "name": row.name,
                "meaning": row.meaning,
                "value": msgspec.to_builtins(row.value),
                "required": row.required,
                "note": row.note,
            }
            for row in rule.parameters
        ],
        "definition": definition_from_template(rule, events),
    }
