"""The addresses of Tenjin's API, each with and without a slash at its end."""

from collections.abc import Iterator

from django.urls import URLPattern, path

from postbacks.api.sdk import tracking_links
from postbacks.api.sdk.tenjin import TenjinEventView, TenjinUserView, nothing_here
from postbacks.intake.tenjin.mapping import Call

_IMPRESSION = TenjinEventView.as_view(call=Call.AD_IMPRESSION)
_VIEWS = {
    "event": TenjinEventView.as_view(),
    "purchase": TenjinEventView.as_view(call=Call.PURCHASE),
    "user": TenjinUserView.as_view(),
    "ad_impression": _IMPRESSION,
    "ad_impressions": _IMPRESSION,
    "conversion-values": TenjinEventView.as_view(call=Call.CONVERSION_VALUE),
}
_MEDIATIONS = ("admob", "max", "ironsource", "hyperbid", "topon", "cas", "tradplus")


def _routes() -> Iterator[URLPattern]:
    for address, view in _VIEWS.items():
        yield path(address, view)
        yield path(f"{address}/", view)
    for mediation in _MEDIATIONS:
        view = TenjinEventView.as_view(call=Call.AD_IMPRESSION, mediation=mediation)
        yield path(f"ad_impressions/{mediation}", view)
        yield path(f"ad_impressions/{mediation}/", view)


urlpatterns = [
    *_routes(),
    path("click/<slug:token>", tracking_links.click),
    path("click/<slug:token>/", tracking_links.click),
    path("<path:address>", nothing_here),
]
