"""The Content-Security-Policy of each kind of answer; settings.py holds the policy of a page.

A name that slipped through as markup could then still run nothing, load nothing and send nothing
away. Only the theme of `/admin/` evaluates texts of its own templates (Alpine), so only there
`'unsafe-eval'` is allowed; `'unsafe-inline'` is allowed nowhere, for styles neither.
"""

from csp.constants import HEADER, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponseBase

_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class ContentPolicy(CSPMiddleware):
    """Allows nothing but on pages, and on pages what the settings list.

    django-csp builds a policy of fifty possible directives for each answer: too slow for the API.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, _NOTHING)
        return response

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path.startswith("/admin/"):
            parts.update = {"script-src": [UNSAFE_EVAL]}
        return parts
