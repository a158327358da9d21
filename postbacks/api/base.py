"""What every address of the management API has in common: caller, rights, tenant, parameters."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, cast

from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, HttpResponseBase
from rest_framework import exceptions, mixins, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.client_address import client_address
from apps_registry.csv_format import FileFormat
from apps_registry.models import ApiToken
from apps_registry.roles import RIGHTS, Right, allows
from apps_registry.tenancy import Lifecycle, TenantModel, tenant
from postbacks.api.authentication import Caller, SdkKeyAuthentication, TokenAuthentication
from postbacks.api.list_files import ListFiles
from postbacks.api.pagination import NewestFirst
from postbacks.api.problems import Conflict
from postbacks.api.query import Query, read_query
from postbacks.api.schema import ProblemSchema
from postbacks.api.strict import StrictJsonParser
from postbacks.api.throttling import TooFast
from postbacks.infrastructure.rate_limits.at_once import (
    RETRY_AFTER,
    TooManyAtOnceError,
    end_with,
    long_requests,
)
from postbacks.web.middleware import own_transactions

# In the answer that archives a rule or partner: how many postbacks that skips, at most
# `held_postbacks.MOST_COUNTED`.
SKIPPED_POSTBACKS = "Skipped-Postbacks"


@own_transactions
class OrganizationViewSet(ListFiles):
    """Serves one kind of row of the caller's organization, in one transaction per request.

    `rights` names the right that each action needs and `queries` its query parameters; an action
    without a right is a mistake of ours and can't be called. In the API's description `{one}` and
    `{many}` of a docstring become the rows' names.
    """

    rights: ClassVar[dict[str, Right]]
    long_actions: ClassVar[frozenset[str]] = frozenset()  # few of an organization run at once
    row_names: ClassVar[tuple[str, str] | None] = None  # one and many, where not as the model says

    authentication_classes = (TokenAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = ()  # `check_permissions` has the table
    parser_classes = (StrictJsonParser,)
    pagination_class = NewestFirst
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    schema = ProblemSchema()
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    @property
    def caller(self) -> Caller:
        return cast(Caller, self.request.user)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with ExitStack() as self._turn:
            with ExitStack() as self._transaction:
                response = super().dispatch(request, *args, **kwargs)
            if response.streaming:  # a file is made while it is sent
                end_with(response, self._turn)
            return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let the caller in, then read the query inside the caller's organization."""
        super().initial(request, *args, **kwargs)
        is_file = request.accepted_renderer.format in FileFormat.values
        if is_file or self.action in self.long_actions:
            try:
                self._turn.callback(long_requests().begin(self.caller.organization_id))
            except TooManyAtOnceError as refusal:
                raise TooFast(str(refusal), RETRY_AFTER) from None
        self._enter(request)
        self.query = read_query(request._request.GET, self.queries.get(self.action or "", Query))

    @contextmanager
    def outside_transaction(self, request: Request) -> Iterator[None]:
        """Commit, run the block without a transaction, and go on in a new one.

        For waiting on the network, which must not keep a transaction open.
        """
        self._transaction.close()
        try:
            yield
        finally:
            self._enter(request)

    def check_permissions(self, request: Request) -> None:
        """Refuse a caller who lacks the right of this action, or that of exporting a file."""
        if self.action in {None, "metadata"}:
            return  # no handler: REST framework answers 405
        needed = [self.rights[self.action]]
        if request.accepted_renderer.format in FileFormat.values:
            needed.append(Right.EXPORT)
        for right in needed:
            if not self.caller.allows(right):
                raise exceptions.PermissionDenied(missing_right(self.caller, right))

    def handle_exception(self, exc: Exception) -> Response:
        if connection.in_atomic_block:
            transaction.set_rollback(True)
        if isinstance(exc, IntegrityError):
            # Checked before writing, so that only a race with another request comes here.
            exc = Conflict("Another request changed the same thing at this moment; try again.")
        return super().handle_exception(exc)

    def get_queryset(self) -> Any:
        return self.model.objects.all()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer one page of the {many} that the filters leave; all of them as a file."""
        rows = self.query.narrow(self.get_queryset())  # type: ignore[attr-defined]  # a PageQuery
        if request.accepted_renderer.format in FileFormat.values:
            return self.file_response(rows)
        page = self.paginate_queryset(rows) or []
        self.read_related(page)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer one {one}."""
        return Response(self.get_serializer(self.get_object()).data)

    def _enter(self, request: Request) -> None:
        self._transaction.enter_context(tenant(self.caller.organization_id))
        self._transaction.enter_context(acting_as(_token_actor(request)))


class ReportedViewSet(OrganizationViewSet):
    """Serves rows that API tokens read and SDK keys write, by POST to the same address.

    `report_view` answers the POST. A subclass names its `post` as `create`, so that routes and the
    document know it.
    """

    report_view: ClassVar[type[APIView]]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Hand a POST to the view of machines, which has keys and transactions of its own."""
        if self._is_report(request.method, kwargs):
            return self.report_view.as_view()(request)
        return super().dispatch(request, *args, **kwargs)

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Let SDK keys write and API tokens read."""
        if self._is_report(getattr(self.request, "method", None), self.kwargs):
            return [SdkKeyAuthentication()]
        return super().get_authenticators()

    def _is_report(self, method: str | None, kwargs: Mapping[str, Any]) -> bool:
        return method == "POST" and self.lookup_url_kwarg not in kwargs


class RegistryViewSet(OrganizationViewSet):
    """Serves rows that people declare: they are created, changed and archived.

    Requires SET_UP for changes, unless a subclass overrides it.
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
        """Make a new {one}."""
        return self._write(None, request, code=status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Write the {one} again; a field that isn't sent stays as it is."""
        return self._write(self.get_object_in_use(), request)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change some fields of the {one}."""
        return self._write(self.get_object_in_use(), request, partial=True)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Archive the {one}: it is gone from lists and its name is free; history stays."""
        row = self.get_object()
        response = Response(status=status.HTTP_204_NO_CONTENT)
        if row.status != Lifecycle.ARCHIVED:
            skipped = self.skipped_by_archiving(row)
            if skipped is not None:
                response[SKIPPED_POSTBACKS] = str(skipped)
            row.status = Lifecycle.ARCHIVED
            row.save(update_fields=["status"])
        return response

    def skipped_by_archiving(self, row: Any) -> int | None:
        """Return how many postbacks archiving the row skips; None if it sends none."""
        return None

    def get_object_in_use(self) -> Any:
        """Return the row of the address. Raises Conflict if it is archived."""
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
        return Response(serializer.to_representation(written), status=code)


class KeyViewSet(OrganizationViewSet, mixins.CreateModelMixin):
    """Serves keys, which are made and revoked.

    Requires MANAGE for both, unless a subclass overrides it.
    """

    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": Right.MANAGE,
        "destroy": Right.MANAGE,
    }

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke the {one}: it is refused from now on and stays in the list."""
        self.get_object().revoke()
        return Response(status=status.HTTP_204_NO_CONTENT)


def missing_right(caller: Caller, right: Right) -> str:
    """Return the sentence that names the right a caller lacks, and who has it."""
    if allows(caller.role, right):
        return f"The token lacks the scope “{right}”; make one that has it."
    able = " or ".join(str(name) for name, rights in RIGHTS.items() if right in rights)
    return f"The role “{caller.role}” does not allow this (scope “{right}”); it takes {able}."


def _token_actor(request: Request) -> Actor:
    """Return the token as the audit log names it: a person's token with its person."""
    token = cast(ApiToken, request.auth)
    return Actor(
        ActorKind.TOKEN,
        f"{token.user.email} with token {token}" if token.user else str(token),
        Door.API,
        user_id=token.user_id,
        address=client_address(request._request),
    )
