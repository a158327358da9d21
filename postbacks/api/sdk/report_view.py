"""① What the doors have in common that take reports: one kind of key, answers in JSON alone."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from postbacks.api.authentication import SdkKeyAuthentication
from postbacks.api.sdk.refusals import RefusalLoggingView

_RENDERER: Final = JSONRenderer()


class AlwaysJson(BaseContentNegotiation):
    """Answers JSON, whatever a program accepts: its event must not be lost over that."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


_NEGOTIATOR: Final = AlwaysJson()


class ReportView(RefusalLoggingView):
    """A view that devices and servers call with each event.

    Of what REST framework asks of each request it does what has more than one answer here. There
    are no versions, formats, permissions or throttles of REST framework's.
    """

    authentication_classes = [SdkKeyAuthentication]
    permission_classes = []
    content_negotiation_class = AlwaysJson

    _allow = ""
    _authenticators: Sequence[BaseAuthentication] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._allow = ", ".join(cls().allowed_methods)
        cls._authenticators = cls().get_authenticators()

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {"Allow": self._allow}

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Wrap a request. What only reads it is the same for all, and made once."""
        return Request(
            request,
            authenticators=self._authenticators,
            negotiator=_NEGOTIATOR,
            parser_context={"view": self, "args": args, "kwargs": kwargs},
        )

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find out who reports. Raises REST framework's exceptions."""
        request.accepted_renderer = _RENDERER
        request.accepted_media_type = _RENDERER.media_type
        self.perform_authentication(request)

    def perform_authentication(self, request: Request) -> None:
        (authenticator,) = cast(list[SdkKeyAuthentication], request.authenticators)
        request.user, request.auth = authenticator.authenticate(request)
