"""The package of everything that people set up."""

from django.apps import AppConfig
from django.core import checks


class AppsRegistryConfig(AppConfig):
    name = "apps_registry"
    verbose_name = "Set up"

    def ready(self) -> None:
        from apps_registry.checks import check_admin_pages  # models are loaded only now

        checks.register(check_admin_pages, checks.Tags.admin)
