"""Every address that we answer."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from postbacks.api.health import healthz, metrics, readyz
from postbacks.api.sdk import tracking_links
from postbacks.api.sdk.skadnetwork import COPY_PATHS, SkanCopiesView

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(url="/admin/"), name="home"),
    path("admin/", admin.site.urls),
    path("accounts/", include("postbacks.accounts.urls")),
    path("api/", include("postbacks.api.routes")),
    path("v0/", include("postbacks.api.sdk.tenjin")),
    path("c/<slug:token>", tracking_links.click, name="click"),
    path("c/<slug:token>/", tracking_links.click),
    path("i/<slug:token>", tracking_links.impression, name="impression"),
    path("i/<slug:token>/", tracking_links.impression),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    *(path(address, SkanCopiesView.as_view()) for address in COPY_PATHS),
]

handler400 = "postbacks.api.problems.bad_request"
handler404 = "postbacks.api.problems.not_found"
handler429 = "postbacks.accounts.views.too_many_tries"  # allauth looks it up
handler500 = "postbacks.api.problems.server_error"
