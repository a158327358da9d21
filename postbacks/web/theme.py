"""The look and the sidebar of the web UI, as settings of the theme."""

from collections.abc import Callable

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse, reverse_lazy


def _static(name: str) -> Callable[[HttpRequest], str]:
    """Return a callable: the address of static files is known only once the settings are."""

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


_TEMPLATES = "postbacks/callbackrule/templates"
_REPLAY = "postbacks/postback/replay"
_BELONG_ELSEWHERE = ("macros", "templates", "replay")


def _is_below(*pages: str) -> Callable[[HttpRequest], bool]:
    """Return a callable that tells whether a request is for one of these pages of the admin.

    Three pages lie below others and belong elsewhere: the catalogue of macros and replays have
    entries of their own, and the templates make partners.
    """
    paths = tuple(f"/admin/{page}/" for page in pages)
    of_others = tuple(f"{path}{page}/" for path in paths for page in _BELONG_ELSEWHERE)

    def is_active(request: HttpRequest) -> bool:
        return request.path.startswith(paths) and not request.path.startswith(of_others)

    return is_active


def _list(
    title: str, icon: str, model: str, *related: str, pages: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return the entry for the list of a model; `related` models and `pages` belong to it."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model.replace('.', '_')}_changelist"),
        "active": _is_below(*(name.replace(".", "/") for name in (model, *related)), *pages),
    }


def _page(title: str, icon: str, view: str, *, below: str = "") -> dict[str, object]:
    link = reverse_lazy(f"admin:{view}")
    entry: dict[str, object] = {"title": title, "icon": icon, "link": link}
    return {**entry, "active": _is_below(below)} if below else entry


UNFOLD = {
    "SITE_TITLE": "Postbacks",
    "SITE_HEADER": "Postbacks",
    "SITE_URL": None,
    "SITE_SYMBOL": "send",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _static("icon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [_static("colors.css"), _static("kit.css"), _static("shell.css")],
    "SCRIPTS": [_static("shell.js")],
    "SIDEBAR": {
        "navigation": [
            {
                "title": "Monitor",
                "items": [
                    _page("Overview", "monitoring", "index"),
                    _page("Live", "sensors", "live"),
                    _list("Alerts", "notifications", "postbacks.alert"),
                    _list(
                        "Delivery log",
                        "outgoing_mail",
                        "postbacks.postback",
                        "postbacks.deliveryattempt",
                    ),
                    _list("Replays", "replay", "postbacks.replay", pages=(_REPLAY,)),
                    _list("Events", "bolt", "postbacks.event", "postbacks.decisionfailure"),
                    _list("Refused events", "block", "postbacks.refusedevent"),
                    _list("Installs", "install_mobile", "postbacks.install"),
                    _list("Clicks & impressions", "ads_click", "postbacks.touchpoint"),
                    _page("Fraud report", "gpp_bad", "fraud_report"),
                    _list("SKAdNetwork", "verified", "postbacks.skanpostback"),
                    _list("Discrepancies", "difference", "postbacks.discrepancy"),
                    _list("Exports", "download", "postbacks.export"),
                    _list("Scheduled exports", "schedule_send", "postbacks.exportschedule"),
                ],
            },
            {
                "title": "Set up",
                "items": [
                    _list("Apps", "smartphone", "apps_registry.app", "apps_registry.bundleid"),
                    _list("Partners", "handshake", "apps_registry.partner", pages=(_TEMPLATES,)),
                    _list(
                        "Campaigns & tracking links",
                        "campaign",
                        "apps_registry.campaign",
                        "apps_registry.trackinglink",
                    ),
                    _list("Attribution", "conversion_path", "apps_registry.attributionsettings"),
                    _list("Test devices", "phonelink_setup", "postbacks.testdevice"),
                    _list("Callback rules", "rule_settings", "postbacks.callbackrule"),
                    _page("Macros", "data_object", "postbacks_callbackrule_macros"),
                ],
            },
            {
                "title": "Organization",
                "items": [
                    _list(
                        "Members", "group", "apps_registry.membership", "apps_registry.invitation"
                    ),
                    _list("SDK keys", "key", "apps_registry.sdkkey"),
                    _list("API tokens", "token", "apps_registry.apitoken"),
                    _list("Signing secrets", "signature", "apps_registry.signingsecret"),
                    _list("Click signing keys", "ads_click", "apps_registry.clicksigningkey"),
                    _list("Audit log", "history", "apps_registry.auditentry"),
                    _page("Forget a device", "person_off", "forget_device"),
                    {
                        "title": "Settings",
                        "icon": "settings",
                        "link": _own_organization,
                        "active": _is_below("apps_registry/organization", "configuration"),
                    },
                ],
            },
            {
                "title": "Operator",
                "for_operators": True,  # templates/admin/nav_sidebar.html shows it to them alone
                "items": [
                    _page("Installation", "dns", "installation", below="installation"),
                    _page("Organizations", "domain", "organizations", below="organizations"),
                    _page("Store IDs", "storefront", "store_ids", below="store-ids"),
                ],
            },
        ],
    },
}
