"""What every address of the management API has in common: caller, rights, tenant, parameters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from rest_framework import exceptions, status
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.viewsets import GenericViewSet

from apps_registry import csv_format
from apps_registry.audit.actions import Action
from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.audit.audited_model import log_action
from apps_registry.client_address import client_address
from apps_registry.models import ApiToken, Organization
from apps_registry.roles import RIGHTS, Right, allows
from apps_registry.tenancy import Lifecycle, TenantModel, tenant
from postbacks.api.authentication import Caller, TokenAuthentication
from postbacks.api.pagination import NewestFirst
from postbacks.api.problems import Conflict
from postbacks.api.query import BadParameters, Query, read_query
from postbacks.api.reading import StrictJsonParser
from postbacks.api.schema import ProblemSchema
from postbacks.web.middleware import own_transactions

# FOLDED from csv_lists.py


class CsvRenderer(BaseRenderer):
    """Lets REST framework choose CSV. Lists of rows write themselves; a small one comes here."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        """Return a page that holds all there is."""
        rows = data.get("results", []) if isinstance(data, dict) else []
        columns = list(rows[0]) if rows else []
        return csv_format.encode_rows([columns, *([row[name] for name in columns] for row in rows)])


def csv_list(view: "OrganizationViewSet", rows: "QuerySet[Any]") -> StreamingHttpResponse:
    """Return the answer that sends all of `rows`, from the cursor of the query on."""
    pages = NewestFirst()
    request = view.request
    start = pages.begin(request, view)
    if start is not None and start.backward:
        raise BadParameters({"cursor": "CSV goes on from “next” only."})
    columns = view.csv_columns()
    organization_id = view.caller.organization_id

    def written() -> Iterator[bytes]:
        yield csv_format.encode_rows([columns])
        place, left = start, csv_format.MAX_ROWS
        while left:
            size = min(left, csv_format.CHUNK_SIZE)
            with tenant(organization_id):
                page = pages.rows_after(rows, place, size)
                portion = csv_format.encode_rows(_cells(view, page, columns))
            yield portion
            if len(page) < size:
                return
            place, left = pages.place_of(page[-1]), left - size

    kind = str(view.model._meta.verbose_name_plural)
    if request.method == "GET":
        filters = request._request.GET
        asked = {"filters": [None, filters.urlencode()]} if filters else {}
        log_action(Action.EXPORTED, name=kind, changes=asked)
    answer = StreamingHttpResponse(written(), content_type="text/csv; charset=utf-8")
    name = Organization.objects.values_list("name", flat=True).get(pk=organization_id)
    file_name = csv_format.file_name(kind, name, datetime.now(UTC))
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    if rest := pages.cursor_after(rows, start, csv_format.MAX_ROWS):
        address = replace_query_param(request.build_absolute_uri(), "cursor", rest)
        answer["Link"] = f'<{address}>; rel="next"'
    return answer


def _cells(
    view: "OrganizationViewSet", page: Sequence[Any], columns: Sequence[str]
) -> Iterator[list[object]]:
    for row in view.csv_rows(page):
        yield [row[name] for name in columns]


@own_transactions
class OrganizationViewSet(GenericViewSet):
    """Serves one kind of row of the caller's organization, in one transaction per request.

    `rights` names the right that each action needs and `queries` its query parameters; an action
    without a right is a mistake of ours and can't be called.
    """

    rights: ClassVar[dict[str, Right]]
    queries: ClassVar[dict[str, type[Query]]] = {}
    model: ClassVar[type[TenantModel]]
    time_key: ClassVar[str | None] = None

    authentication_classes = (TokenAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = ()  # `check_permissions` has the table
    parser_classes = (StrictJsonParser,)
    pagination_class = NewestFirst
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    schema = ProblemSchema()
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    query: Query

    @property
    def caller(self) -> Caller:
        """Return who calls."""
        return cast(Caller, self.request.user)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, with the tenant's transaction around the handler."""
        with ExitStack() as self._transaction:
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let the caller in, then read the query inside the caller's organization."""
        super().initial(request, *args, **kwargs)
        self._enter(request)
        self.query = read_query(request._request.GET, self.queries.get(self.action or "", Query))

    @contextmanager
    def outside_transaction(self, request: Request) -> Iterator[None]:
        """Commit what was written, and go on in a new transaction: the network is asked within."""
        self._transaction.close()
        try:
            yield
        finally:
            self._enter(request)

    def _enter(self, request: Request) -> None:
        self._transaction.enter_context(tenant(self.caller.organization_id))
        self._transaction.enter_context(acting_as(_program(request)))

    def check_permissions(self, request: Request) -> None:
        """Refuse a caller who lacks the right of this action, or that to take rows away as CSV."""
        if self.action in {None, "metadata"}:
            return  # no handler: REST framework answers 405
        needed = [self.rights[self.action]]
        if request.accepted_renderer.format == CsvRenderer.format:
            needed.append(Right.EXPORT)
        for right in needed:
            if not self.caller.allows(right):
                raise exceptions.PermissionDenied(missing_right(self.caller, right))

    def handle_exception(self, exc: Exception) -> Response:
        """Undo what was written, and answer."""
        if connection.in_atomic_block:
            transaction.set_rollback(True)
        if isinstance(exc, IntegrityError):
            # Checked before writing, so that only a race with another request comes here.
            exc = Conflict("Another request changed the same thing at this moment; try again.")
        return super().handle_exception(exc)

    def get_queryset(self) -> Any:
        """Return the organization's rows."""
        return self.model.objects.all()

    def get_renderers(self) -> list[BaseRenderer]:
        """Offer lists as CSV too."""
        renderers = super().get_renderers()
        return [*renderers, CsvRenderer()] if self.action == "list" else renderers

    def csv_serializer(self, rows: Any = None) -> Any:
        """Return what shows rows in CSV: as in JSON, unless a subclass shows less of them."""
        return self.get_serializer(rows, many=rows is not None)

    def csv_columns(self) -> Sequence[str]:
        """Return the names of the columns, which are the fields."""
        return [n for n, field in self.csv_serializer().fields.items() if not field.write_only]

    def csv_rows(self, rows: Sequence[Any]) -> Iterable[Mapping[str, object]]:
        """Return rows by column."""
        shown: Iterable[Mapping[str, object]] = self.csv_serializer(rows).data
        return shown

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer one page of the rows that the filters leave; all of them as CSV."""
        rows = self.query.narrow(self.get_queryset())  # type: ignore[attr-defined]  # a Page
        if request.accepted_renderer.format == CsvRenderer.format:
            return csv_list(self, rows)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer one row."""
        return Response(self.get_serializer(self.get_object()).data)


class RegistryViewSet(OrganizationViewSet):
    """Serves rows that people declare: they are created, changed and archived.

    Whoever sets things up may do so, unless a subclass says otherwise.
    """

    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": Right.SET_UP,
        "update": Right.SET_UP,
        "partial_update": Right.SET_UP,
        "destroy": Right.SET_UP,
    }

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Write a new row."""
        return self._write(None, request, code=status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Write a row anew; a field that isn't sent stays as it is."""
        return self._write(self.get_object_in_use(), request)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change some fields of a row."""
        return self._write(self.get_object_in_use(), request, partial=True)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Archive a row: it is gone from lists and its name is free; history stays."""
        row = self.get_object()
        if row.status != Lifecycle.ARCHIVED:
            self.archive(row)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def archive(self, row: Any) -> None:
        """Take a row out of use."""
        row.status = Lifecycle.ARCHIVED
        row.save(update_fields=["status"])

    def get_object_in_use(self) -> Any:
        """Return the row, unless it is archived and so can't be changed."""
        row = self.get_object()
        if getattr(row, "status", None) == Lifecycle.ARCHIVED:
            raise Conflict(f"The {row._meta.verbose_name} is archived and can't be changed.")
        return row

    def _write(
        self, row: TenantModel | None, request: Request, *, partial: bool = False, code: int = 200
    ) -> Response:
        serializer = self.get_serializer(row, data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        written = self.get_queryset().get(pk=serializer.save().pk)  # as others will read it
        return Response(self.get_serializer(written).data, status=code)


def _program(request: Request) -> Actor:
    """Return the token as the audit log names it: a person's token with its person."""
    token = cast(ApiToken, request.auth)
    return Actor(
        ActorKind.TOKEN,
        f"{token.user.email} with token {token}" if token.user else str(token),
        Door.API,
        user_id=token.user_id,
        address=client_address(request._request),
    )


def missing_right(caller: Caller, right: Right) -> str:
    """Return the sentence that tells a caller what is missing, and who could do this."""
    if allows(caller.role, right):
        return f"The token lacks the scope “{right}”; make one that has it."
    able = " or ".join(str(name) for name, rights in RIGHTS.items() if right in rights)
    return f"The role “{caller.role}” does not allow this (scope “{right}”); it takes {able}."
