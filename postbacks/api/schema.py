"""The OpenAPI document: authentication, errors, CSV, and the pages that show it."""

from functools import cache
from threading import Lock
from typing import Any

from django.conf import settings
from django.utils import translation
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from postbacks.api.authentication import SdkKeyAuthentication

_PROBLEM = "application/problem+json"
_ERRORS = {
    "400": "The request is not valid; `errors` says where.",
    "401": "No key or token, or one that we do not know.",
    "403": "The role, the kind of key or a revoked one does not allow this.",
    "404": "There is nothing of yours at this address.",
    "406": "Lists are available as JSON or CSV.",
    "409": "The request conflicts with the current state.",
    "413": "The body is too large.",
    "415": "The content type or encoding is not supported.",
    "429": "Too many calls; `Retry-After` says when to try again.",
    "422": "No event of the request is valid.",
    "503": "The database can't be reached; `Retry-After` says when to try again.",
}

_CSV = (
    "All rows that match the filters, regardless of `limit`, newest first: one line of names, then "
    "one per row. At most 100,000; if there are more, the header `Link` (`rel=next`) has the rest."
)
_JSON_LINES = (
    "All rows that match the filters, regardless of `limit`, newest first: one JSON object a line, "
    "as in `results`. At most 100,000; if there are more, the header `Link` has the rest."
)


class FaultSerializer(serializers.Serializer):
    """One error of a request."""

    pointer = serializers.CharField(
        required=False, help_text="JSON pointer into the body, empty for all of it."
    )
    parameter = serializers.CharField(
        required=False, help_text="The query parameter with the error."
    )
    detail = serializers.CharField(help_text="The error, and what would be right.")
    position = serializers.IntegerField(
        required=False, help_text="In a template: the character, counted from 0."
    )
    suggestion = serializers.CharField(required=False, help_text="The nearest known name.")


class ProblemSerializer(serializers.Serializer):
    """An error as RFC 9457 describes it."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FaultSerializer(many=True, required=False)  # type: ignore[assignment]  # a field


class ProblemSchema(AutoSchema):
    """Adds the error responses of every address, and the declared query parameters."""

    def get_description(self) -> str:  # type: ignore[override]  # the library's, not DRF's
        """Name the rows where an action is the same for every resource."""
        description = str(super().get_description())
        if "{one}" not in description and "{many}" not in description:
            return description
        view: Any = self.view  # one of `OrganizationViewSet`, whose docstrings alone say so
        names = view.row_names
        if names is None:
            options = view.model._meta
            names = str(options.verbose_name), str(options.verbose_name_plural)
        return description.replace("{one}", names[0]).replace("{many}", names[1])

    def get_override_parameters(self) -> list[Any]:
        queries = getattr(self.view, "queries", {})
        query = queries.get(getattr(self.view, "action", None))
        return [query] if query and query().fields else []  # no parameters: nothing to describe

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        codes = {"400", "401", "403", "429", "503"} | self._codes_of_action()
        for code in sorted(codes - responses.keys()):
            responses[code] = self._problem(code)
        self._describe_files(responses)
        return responses

    def _describe_files(self, responses: dict[str, Any]) -> None:
        content = responses.get("200", {}).get("content", {})
        if "text/csv" in content:
            content["text/csv"] = {"schema": {"type": "string", "description": _CSV}}
            for name in content.keys() & {"application/jsonl", "application/x-ndjson"}:
                content[name] = {"schema": {"type": "string", "description": _JSON_LINES}}
            responses["406"] = responses.get("406") or self._problem("406")

    def _codes_of_action(self) -> set[str]:
        codes: set[str] = set()
        if "{" in self.path:
            codes.add("404")
        if self.method in {"POST", "PUT", "PATCH"}:
            codes |= {"413", "415"}
        if self.method != "GET":
            codes.add("409")
        if isinstance(self.view.get_authenticators()[0], SdkKeyAuthentication):
            codes |= {"422"}
        return codes

    def _problem(self, code: str) -> dict[str, Any]:
        reference = self.resolve_serializer(ProblemSerializer, "response").ref
        return {"description": _ERRORS[code], "content": {_PROBLEM: {"schema": reference}}}


class SdkKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped there
    """Describes the keys of SDKs."""

    target_class = "postbacks.api.authentication.SdkKeyAuthentication"
    name = "SDK-key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "SDK key of an app (`pbk_…`), also as user name of Basic.",
        }


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    """Describes the tokens of programs."""

    target_class = "postbacks.api.authentication.TokenAuthentication"
    name = "API-token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "API token of a person or an organization (`pbt_…`).",
        }


_making = Lock()


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # as above
    return document


class _MadeOnce(SchemaGenerator):
    """Gives the process its one document: two that are made at once break each other."""

    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:
        with _making, translation.override(settings.LANGUAGE_CODE):
            return _document()


class SchemaView(SpectacularAPIView):
    """Serves the document as JSON, or as YAML on request."""

    generator_class = _MadeOnce
    renderer_classes = [
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer2,
        OpenApiYamlRenderer,
    ]


class DocsView(SpectacularSwaggerView):
    """Shows the document as pages.

    By a template of ours: the library's own has an inline script, and opens the page to other
    sites' windows, which only its sign-in with OAuth would need.
    """

    template_name = "postbacks/api_docs.html"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # as above
        # Without the library's value, which opens the page to other windows.
        del response.headers["Cross-Origin-Opener-Policy"]
        return response
