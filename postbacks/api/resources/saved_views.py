"""Saved views of the pages' lists: filters and columns under a name."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import User
from apps_registry.roles import RIGHT_TO, Right
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.api.strict import StrictSerializer
from postbacks.insights import saved_views
from postbacks.insights.saved_views import (
    LISTS,
    LONGEST_COLUMN,
    MOST_COLUMNS,
    NewView,
    ViewRefusedError,
)
from postbacks.models import SavedView
from postbacks.models.saved_views import LONGEST_VIEW_NAME

_NAMES = {label: name for name, label in LISTS.items()}
_LISTS = [(name, name) for name in LISTS]
_MOST_FILTERS = 40


class SavedViewSerializer(serializers.ModelSerializer):
    """A list under some filters, with some columns; the order is one of the filters."""

    id = serializers.UUIDField(source="public_id")
    filters = serializers.SerializerMethodField(help_text="As in the address of the list's page.")
    columns = serializers.SerializerMethodField(help_text="Empty: the usual ones.")
    shared = serializers.BooleanField(source="is_shared")
    created_at = MillisecondDateTimeField()
    list = serializers.SerializerMethodField()

    class Meta:
        model = SavedView
        fields = ("id", "list", "name", "filters", "columns", "shared", "created_by", "created_at")
        read_only_fields = fields

    def get_list(self, view: SavedView) -> str:
        return _NAMES.get(view.list_name, view.list_name)

    def get_filters(self, view: SavedView) -> dict[str, str]:
        return {str(name): str(value) for name, value in QueryDict(view.filters).items()}

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_columns(self, view: SavedView) -> Sequence[str]:
        return saved_views.columns_of(view)


class NewViewSerializer(StrictSerializer):
    """A view to save; one of this name that the caller has is replaced."""

    list = serializers.ChoiceField(_LISTS)
    name = serializers.CharField(max_length=LONGEST_VIEW_NAME)
    filters = serializers.DictField(
        child=serializers.CharField(max_length=256),
        default=dict,
        help_text="As in the address of the list's page. IDs and texts that are looked for are "
        "not kept.",
    )
    columns = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_COLUMN),
        required=False,
        max_length=MOST_COLUMNS,
    )
    shared = serializers.BooleanField(
        default=False, help_text="With everybody in the organization."
    )

    def validate_filters(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > _MOST_FILTERS:
            raise serializers.ValidationError(f"Give at most {_MOST_FILTERS} filters.")
        return value


class SavedViewQuery(PageQuery):
    """Filters of saved views."""

    list = serializers.ChoiceField(_LISTS, required=False)
    shared = serializers.ChoiceField([("true", "Shared"), ("false", "Own")], required=False)

    def narrow(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        values = self.validated_data
        if "list" in values:
            rows = rows.filter(list_name=LISTS[values["list"]])
        if "shared" in values:
            rows = rows.filter(is_shared=values["shared"] == "true")
        return rows


class SavedViewViewSet(OrganizationViewSet):
    """Saved views: the caller's own, and those that are shared with the organization."""

    model = SavedView
    serializer_class = SavedViewSerializer
    queries = {"list": SavedViewQuery}
    can_be_exported = False
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": RIGHT_TO["save_view"],
        "destroy": RIGHT_TO["save_view"],
    }

    def get_queryset(self) -> Any:
        own = saved_views.views_for(self._user).values("pk")
        return super().get_queryset().filter(pk__in=own)

    @property
    def _user(self) -> User | None:
        """Return whose token the caller has; None of the organization's."""
        return self.caller.user

    @extend_schema(request=NewViewSerializer, responses={201: SavedViewSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Save a view. An organization's token can only save shared ones."""
        serializer = NewViewSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        view = NewView(
            list_name=LISTS[values["list"]],
            name=values["name"],
            filters=values["filters"],
            columns=values.get("columns", ()),
            is_shared=values["shared"],
        )
        try:
            saved = saved_views.save_view(view, user=self._user)
        except ViewRefusedError as error:
            raise Conflict(str(error)) from None
        return Response(SavedViewSerializer(saved).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete a view: one's own, or as an owner any that is shared."""
        view = self.get_object()
        may_manage = self.caller.allows(Right.MANAGE)
        if not saved_views.may_delete(view, user=self._user, may_manage=may_manage):
            raise exceptions.PermissionDenied("Its creator or an owner can delete this view.")
        saved_views.delete_view(view)
        return Response(status=status.HTTP_204_NO_CONTENT)
