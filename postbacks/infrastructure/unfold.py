"""The look and the sidebar of the web UI, as settings of the theme."""

from collections.abc import Callable

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy


def _file(name: str) -> Callable[[HttpRequest], str]:
    """Return a callable: where static files lie is known only once the settings are."""

    def address(request: HttpRequest) -> str:
        return static(f"postbacks/{name}")

    return address


def _own_organization(request: HttpRequest) -> str:
    membership = getattr(request, "membership", None)
    if membership is None:
        return reverse("admin:index")
    return reverse(
        "admin:apps_registry_organization_change", args=[str(membership.organization_id)]
    )


def _shows(*models: str) -> Callable[[HttpRequest], bool]:
    """Return a callable that tells whether a page is one of these models'.

    The catalogue of macros lies below the rules, and has an entry of its own.
    """
    places = tuple(f"/admin/{model.replace('.', '/')}/" for model in models)

    def is_active(request: HttpRequest) -> bool:
        return request.path.startswith(places) and not request.path.endswith("/macros/")

    return is_active


def _page(title: str, icon: str, model: str, *also: str) -> dict[str, object]:
    """Return the sidebar's entry for the list of a model; `also` are pages found from there."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model.replace('.', '_')}_changelist"),
        "active": _shows(model, *also),
    }


UNFOLD = {
    "SITE_TITLE": "Postbacks",
    "SITE_HEADER": "Postbacks",
    "SITE_URL": None,
    "SITE_SYMBOL": "send",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _file("icon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [_file("colors.css"), _file("kit.css"), _file("shell.css")],
    "SCRIPTS": [_file("shell.js")],
    "SIDEBAR": {
        "navigation": [
            {
                "title": "Monitor",
                "items": [
                    {
                        "title": "Overview",
                        "icon": "monitoring",
                        "link": reverse_lazy("admin:index"),
                    },
                    _page(
                        "Delivery log",
                        "outgoing_mail",
                        "postbacks.postback",
                        "postbacks.deliveryattempt",
                    ),
                    _page("Events", "bolt", "postbacks.event", "postbacks.decisionfailure"),
                    _page("Installs", "install_mobile", "postbacks.install"),
                    {
                        "title": "Fraud report",
                        "icon": "gpp_bad",
                        "link": reverse_lazy("admin:fraud_report"),
                    },
                    _page("SKAdNetwork", "verified", "postbacks.skanpostback"),
                ],
            },
            {
                "title": "Set up",
                "items": [
                    _page("Apps", "smartphone", "apps_registry.app", "apps_registry.bundleid"),
                    _page("Partners", "handshake", "apps_registry.partner"),
                    _page(
                        "Campaigns & links",
                        "campaign",
                        "apps_registry.campaign",
                        "apps_registry.trackinglink",
                    ),
                    _page("Attribution", "conversion_path", "apps_registry.attributionsettings"),
                    _page("Callback rules", "rule_settings", "postbacks.callbackrule"),
                    {
                        "title": "Macros",
                        "icon": "data_object",
                        "link": reverse_lazy("admin:postbacks_callbackrule_macros"),
                    },
                ],
            },
            {
                "title": "Organization",
                "items": [
                    _page(
                        "Members", "group", "apps_registry.membership", "apps_registry.invitation"
                    ),
                    _page("SDK keys", "key", "apps_registry.sdkkey"),
                    _page("API tokens", "token", "apps_registry.apitoken"),
                    _page("Signing secrets", "signature", "apps_registry.signingsecret"),
                    _page("Click signing keys", "ads_click", "apps_registry.clicksigningkey"),
                    _page("Audit log", "history", "apps_registry.auditentry"),
                    {
                        "title": "Forget a device",
                        "icon": "person_off",
                        "link": reverse_lazy("admin:forget_device"),
                    },
                    {
                        "title": "Settings",
                        "icon": "settings",
                        "link": _own_organization,
                        "active": _shows("apps_registry.organization"),
                    },
                ],
            },
            {
                "title": "Operator",
                "for_operators": True,  # templates/admin/nav_sidebar.html shows it to them alone
                "items": [
                    {
                        "title": "Installation",
                        "icon": "dns",
                        "link": reverse_lazy("admin:installation"),
                        "active": _shows("installation"),
                    },
                    {
                        "title": "Organizations",
                        "icon": "domain",
                        "link": reverse_lazy("admin:organizations"),
                        "active": _shows("organizations"),
                    },
                    {
                        "title": "Store IDs",
                        "icon": "storefront",
                        "link": reverse_lazy("admin:store_ids"),
                        "active": _shows("store-ids"),
                    },
                ],
            },
        ],
    },
}
