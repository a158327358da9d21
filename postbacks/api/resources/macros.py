"""The macros that templates may use, for programs that write rules."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.roles import Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.query import Query
from postbacks.callbacks.macros import CATALOGUE, FILTERS, Macro, MacroGroup, MacroType
from postbacks.callbacks.macros.vendors import vendor_names
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
