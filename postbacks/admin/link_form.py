"""The form of tracking links. What is wrong with a link, its model knows."""

from apps_registry.admin_base.tenant_admin import TenantForm
from apps_registry.comma_list import CommaList
from apps_registry.links import parameters
from apps_registry.models.tracking_links import DESTINATION


class DestinationsField(CommaList):
    """Takes schemes and hosts with commas between them."""

    each = DESTINATION
    what = "a destination"


class TrackingLinkForm(TenantForm):
    """Takes parameters as people copy them, with what belongs to the address around them."""

    def clean_parameters(self) -> str:
        """Return the parameters alone."""
        return parameters.tidied(self.cleaned_data["parameters"])
