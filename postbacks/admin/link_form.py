"""The form of tracking links: every mistake is told beside its field."""

from typing import Any

from django.core.exceptions import ValidationError

from apps_registry import destinations
from apps_registry.comma_list import CommaList
from apps_registry.models.tracking_links import DESTINATION
from apps_registry.tenant_admin import TenantForm
from postbacks.admin import link_parameters

_NO_PAGE = "Begin with https:// or http://, for example {example}."


class DestinationsField(CommaList):
    """Takes schemes and hosts with commas between them."""

    each = DESTINATION
    what = "a destination"

    def to_python(self, value: Any) -> Any:
        """Return the destinations. What a browser would run is none."""
        texts = super().to_python(value)
        wrong = [text for text in texts if not destinations.is_destination(text)]
        if wrong:
            raise ValidationError(
                [f"“{text}” can't be allowed: it does not open an app or a page." for text in wrong]
            )
        return texts


class TrackingLinkForm(TenantForm):
    """Checks where a link leads, and what the network adds to it."""

    def clean_store_url(self) -> str:
        """Take pages of the web only."""
        return self._page("store_url", "https://apps.apple.com/app/id1234567890")

    def clean_fallback_url(self) -> str:
        """Take pages of the web only."""
        return self._page("fallback_url", "https://example.com/game")

    def clean_parameters(self) -> str:
        """Take name=value pairs, each once."""
        parameters = link_parameters.tidied(self.cleaned_data["parameters"])
        if found := list(link_parameters.problems(parameters)):
            raise ValidationError(found)
        return parameters

    def clean(self) -> dict[str, Any]:
        """Hold the link's own deep link to what its parameter may name."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        deep_link = cleaned.get("deep_link", "")
        allowed = cleaned.get("allowed_destinations")
        if deep_link and not destinations.is_destination(deep_link):
            words = "Write the app's scheme and what it opens, for example gemharbor://shop/summer."
            self.add_error("deep_link", words)
        elif deep_link and allowed and not destinations.fits(deep_link, allowed):
            listed = ", ".join(allowed)
            words = f"This does not fit the allowed destinations below ({listed}). Add it there."
            self.add_error("deep_link", words)
        return cleaned

    def _page(self, name: str, example: str) -> str:
        address: str = self.cleaned_data[name]
        if address and not destinations.is_web_page(address):
            raise ValidationError(_NO_PAGE.format(example=example))
        return address
