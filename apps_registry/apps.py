"""The package of what people declare."""

from django.apps import AppConfig
from django.core import checks


class AppsRegistryConfig(AppConfig):
    """Registers models, checks and admin pages of the registry."""

    name = "apps_registry"
    verbose_name = "Set up"

    def ready(self) -> None:
        """Have each start check that the admin is scoped."""
        from apps_registry.checks import check_admin_pages  # models exist only now

        checks.register(check_admin_pages, checks.Tags.admin)
