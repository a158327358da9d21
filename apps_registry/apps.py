"""The package of what people declare."""

from django.apps import AppConfig


class AppsRegistryConfig(AppConfig):
    """Registers models, checks and admin pages of the registry."""

    name = "apps_registry"
    verbose_name = "Set up"
