"""What the page of a tracking link shows: its addresses, its QR code, and what to do with it."""

import io
from dataclasses import dataclass

import segno
from django.utils.safestring import SafeString, mark_safe

from apps_registry.models import TrackingLink
from apps_registry.models.apps import Platform
from apps_registry.tenancy import Lifecycle
from postbacks.admin.link_parameters import (
    LinkParameter,
    explained,
    has_click_id,
    unused_macros,
)
from postbacks.callbacks.partner_templates import ClickMacro
from postbacks.models import CallbackRule, RuleStatus

_QUIET_ZONE = 4  # modules of white around the code, which readers need
_PNG_SCALE = 12  # pixels to a module: 400 pixels and more, enough for print on a card


@dataclass(frozen=True, slots=True)
class LinkPage:
    """All that the template needs to know of a link."""

    link: TrackingLink
    click_url: str
    impression_url: str
    plain_url: str
    qr: SafeString
    parameters: tuple[LinkParameter, ...]
    has_click_id: bool
    unused: tuple[ClickMacro, ...]
    rules: tuple[CallbackRule, ...]
    goes_nowhere: bool

    @property
    def is_archived(self) -> bool:
        """Tell whether the link is out of use."""
        return self.link.status == Lifecycle.ARCHIVED

    @property
    def is_ios(self) -> bool:
        """Tell whether the App Store lies between click and install."""
        return self.link.campaign.app.platform == Platform.IOS

    @property
    def is_android(self) -> bool:
        """Tell whether Google Play hands the click on to the app."""
        return self.link.campaign.app.platform == Platform.ANDROID


def link_page(link: TrackingLink) -> LinkPage:
    """Return the page of a link that is saved."""
    partner = link.campaign.partner
    rules = CallbackRule.objects.filter(partner=partner).exclude(status=RuleStatus.ARCHIVED)
    return LinkPage(
        link=link,
        click_url=link.click_url,
        impression_url=link.impression_url,
        plain_url=link.plain_url,
        qr=qr_inline(link),
        parameters=explained(link.parameters),
        has_click_id=has_click_id(link.parameters),
        unused=unused_macros(partner.template, link.parameters),
        rules=tuple(rules.order_by("name", "pk")),
        goes_nowhere=not (link.store_url or link.fallback_url or link.campaign.app.store_id),
    )


def qr_inline(link: TrackingLink) -> SafeString:
    """Return the QR code as a part of a page."""
    drawn = _qr(link).svg_inline(
        border=_QUIET_ZONE, omitsize=True, dark="#000", light="#fff", svgclass="lk-code"
    )
    return mark_safe(drawn)  # noqa: S308  # made of squares; the address is not a text in it


def qr_file(link: TrackingLink, kind: str) -> bytes:
    """Return the QR code as a file of a kind, `svg` or `png`."""
    file = io.BytesIO()
    _qr(link).save(file, kind=kind, border=_QUIET_ZONE, scale=_PNG_SCALE, dark="#000", light="#fff")
    return file.getvalue()


def _qr(link: TrackingLink) -> segno.QRCode:
    return segno.make_qr(link.plain_url, error="m")
