"""The addresses of the short way (`postbacks/web/machine_doors.py`), the busiest first.

They are among those of `postbacks/urls.py` too, which answers all others of their prefixes.
"""

from django.urls import URLPattern, URLResolver, include, path

from postbacks.api.health import healthz
from postbacks.api.sdk import tracking_links
from postbacks.api.sdk.events import SdkEventsView
from postbacks.api.sdk.skadnetwork import COPY_PATHS, SkanCopiesView
from postbacks.api.sdk.touchpoints import TouchpointsView
from postbacks.urls import handler400, handler404, handler429, handler500

__all__ = ["handler400", "handler404", "handler429", "handler500", "urlpatterns"]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/events", SdkEventsView.as_view()),
    path("c/<slug:token>", tracking_links.click),
    path("i/<slug:token>", tracking_links.impression),
    path("v0/", include("postbacks.api.sdk.tenjin")),
    path("api/v1/touchpoints", TouchpointsView.as_view()),
    *(path(address, SkanCopiesView.as_view()) for address in COPY_PATHS),
    path("c/<slug:token>/", tracking_links.click),
    path("i/<slug:token>/", tracking_links.impression),
    path("healthz", healthz),
]
