"""Tracking links: the click and impression addresses of a campaign."""

import secrets
import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from apps_registry import links
from apps_registry.models.campaigns import Campaign
from apps_registry.tenancy import Lifecycle, TenantModel

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without characters that look alike
_TOKEN_LENGTH = 12
_EXAMPLE_PAGES = {
    "store_url": "https://apps.apple.com/app/id1234567890",
    "fallback_url": "https://example.com/game",
}
DESTINATION = RegexValidator(
    r"^[a-z][a-z0-9+.-]*://[^\s/?#]*$",
    "Write the scheme and, for a web address, the host: gemharbor:// or https://go.example.com.",
)


def new_token() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_LENGTH))


class TrackingLink(TenantModel):
    """The click and impression address of a campaign: `/c/{token}` and `/i/{token}`."""

    audited: ClassVar[tuple[str, ...]] = (
        "name",
        "campaign",
        "store_url",
        "fallback_url",
        "deep_link",
        "allowed_destinations",
        "parameters",
        "status",
    )

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this tracking link.",
    )
    token = models.CharField(
        max_length=32,
        unique=True,
        default=new_token,
        editable=False,
        help_text="What stands in the link's address, for example h4k9wq2mzt7c.",
    )
    name = models.CharField(
        max_length=120, help_text="To tell a campaign's links apart, for example Video 15 s."
    )
    campaign = models.ForeignKey(
        Campaign,
        models.PROTECT,
        related_name="tracking_links",
        db_constraint=False,
        help_text="What installs from this link are credited to, for example US iOS Summer 2026.",
    )
    store_url = models.URLField(
        "store page",
        max_length=2000,
        blank=True,
        help_text=(
            "Where a click leads. Empty: the app's own page in its store, made from its store ID, "
            "for example https://play.google.com/store/apps/details?id=com.example.game."
        ),
    )
    fallback_url = models.URLField(
        "page for other devices",
        max_length=2000,
        blank=True,
        help_text=(
            "Where people go whose device can't run the app, for example https://example.com/game. "
            "Empty: to the store page as well."
        ),
    )
    deep_link = models.CharField(
        max_length=2000,
        blank=True,
        help_text=(
            "What the app opens after the install, for example gemharbor://shop/summer. The link's "
            "parameter deep_link can name another one."
        ),
    )
    allowed_destinations = ArrayField(
        models.CharField(max_length=255, validators=[DESTINATION]),
        default=list,
        blank=True,
        help_text=(
            "What the parameters deep_link and fallback may lead to, separated by commas: schemes "
            "and hosts, for example gemharbor://, https://go.example.com."
        ),
    )
    parameters = models.TextField(
        "network's parameters",
        blank=True,
        help_text=(
            "What the network puts into the link for each click, with its own macros, for example "
            "click_id={clickid}&site_id={site}. Filled in from the partner's template."
        ),
    )
    status = models.CharField(
        max_length=16, choices=Lifecycle.choices, default=Lifecycle.ACTIVE, editable=False
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    class Meta(TenantModel.Meta):
        db_table = "tracking_link"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="link_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "campaign", "name"],
                condition=Q(status="active"),
                name="one_active_link_per_campaign_and_name",
                violation_error_message="Another link of this campaign has this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def plain_url(self) -> str:
        """Return the click address without parameters, for people, posters and QR codes."""
        return f"{settings.PUBLIC_URL}/c/{self.token}"

    @property
    def click_url(self) -> str:
        return self._with_parameters(self.plain_url)

    @property
    def impression_url(self) -> str:
        return self._with_parameters(f"{settings.PUBLIC_URL}/i/{self.token}")

    def _with_parameters(self, address: str) -> str:
        return f"{address}?{self.parameters}" if self.parameters else address

    def clean(self) -> None:
        errors = {**self._page_errors(), **self._destination_errors()}
        self.parameters = links.normalized_parameters(self.parameters)
        if parameter_errors := list(links.parameter_errors(self.parameters)):
            errors["parameters"] = parameter_errors
        if errors:
            raise ValidationError(errors)

    def _page_errors(self) -> dict[str, list[str]]:
        errors: dict[str, list[str]] = {}
        for name, example in _EXAMPLE_PAGES.items():
            page = getattr(self, name)
            if page and not links.is_web_page(page):
                errors[name] = [f"Begin with https:// or http://, for example {example}."]
            elif page_errors := list(links.address_errors(page)):
                errors[name] = page_errors
        return errors

    def _destination_errors(self) -> dict[str, list[str]]:
        allowed, errors = self.allowed_destinations, {}
        if invalid := [text for text in allowed if not links.is_destination(text)]:
            errors["allowed_destinations"] = [
                f"“{text}” can't be allowed: it does not open an app or a page." for text in invalid
            ]
        elif faults := [error for text in allowed for error in links.address_errors(text)]:
            errors["allowed_destinations"] = faults
        if self.deep_link and not links.is_destination(self.deep_link):
            error = "Write the app's scheme and what it opens, for example gemharbor://shop/summer."
            errors["deep_link"] = [error]
        elif self.deep_link and allowed and not links.is_allowed(self.deep_link, allowed):
            listed = ", ".join(allowed)
            error = f"This does not fit the allowed destinations ({listed}). Add it there."
            errors["deep_link"] = [error]
        elif faults := list(links.address_errors(self.deep_link)):
            errors["deep_link"] = faults
        return errors
