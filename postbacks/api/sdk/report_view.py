"""① What the doors have in common that take reports: one kind of key, answers in JSON alone."""

from collections.abc import Iterable
from typing import Any, Final, cast

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


class ReportView(RefusalLoggingView):
    """A view that devices and servers call with each event.

    Of what REST framework asks of each request it does what has more than one answer here. There
    are no versions, formats, permissions or throttles of REST framework's.
    """

    authentication_classes = [SdkKeyAuthentication]
    permission_classes = []
    content_negotiation_class = AlwaysJson

    _allow = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._allow = ", ".join(cls().allowed_methods)

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {"Allow": self._allow}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find out who reports. Raises REST framework's exceptions."""
        request.accepted_renderer = _RENDERER
        request.accepted_media_type = _RENDERER.media_type
        self.perform_authentication(request)

    def perform_authentication(self, request: Request) -> None:
        (authenticator,) = cast(list[SdkKeyAuthentication], request.authenticators)
        request.user, request.auth = authenticator.authenticate(request)
