"""What a browser lets our answers do: Content-Security-Policy and Permissions-Policy.

A name that slipped through as markup could then still run nothing, load nothing and send nothing
away. Only the theme of `/admin/` evaluates texts of its own templates (Alpine), so only there
`'unsafe-eval'` is allowed; `'unsafe-inline'` is allowed nowhere, for styles neither.
"""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

GetResponse = Callable[[HttpRequest], HttpResponseBase]

CSP = "Content-Security-Policy"
_THEMED = "/admin/"

_NOTHING: Mapping[str, str] = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_PAGE: Mapping[str, str] = {
    **_NOTHING,
    "object-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
}
_THEMED_PAGE: Mapping[str, str] = {**_PAGE, "script-src": "'self' 'unsafe-eval'"}

_UNUSED_FEATURES = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
    "microphone", "midi", "payment", "usb",
)  # fmt: skip
_PASSKEYS = ("publickey-credentials-create", "publickey-credentials-get")
PERMISSIONS = ", ".join(
    [
        *(f"{feature}=()" for feature in _UNUSED_FEATURES),
        *(f"{feature}=(self)" for feature in _PASSKEYS),
    ]
)


class PagePolicy:
    """Adds the policies to every answer, also to those of the middleware that it surrounds.

    It stands outermost. An answer that already carries a policy keeps it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if settings.DEBUG and response.status_code in {404, 500}:
            return response  # Django's own page for developers, with styles and scripts inside
        response.headers.setdefault(CSP, _written(_rules_for(request, response)))
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response


def _rules_for(request: HttpRequest, response: HttpResponseBase) -> Mapping[str, str]:
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return _NOTHING
    return _THEMED_PAGE if request.path.startswith(_THEMED) else _PAGE


def _written(rules: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())
