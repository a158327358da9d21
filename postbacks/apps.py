"""Django's configuration of the package `postbacks` and of its admin site."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.contrib.auth.signals import user_logged_out
from django.core import checks
from django.core.signals import request_started
from django.db.models.signals import post_migrate
from django.utils.functional import SimpleLazyObject


class PostbacksConfig(AppConfig):
    name = "postbacks"
    verbose_name = "Monitor"
    default = True

    def ready(self) -> None:
        from allauth.account.signals import user_logged_in  # models exist only now
        from allauth.mfa.signals import authenticator_added, authenticator_removed

        from postbacks.accounts import audit
        from postbacks.checks import (
            check_database_roles,
            check_partner_templates,
            check_times_nest,
        )
        from postbacks.infrastructure.database import grants, partitions
        from postbacks.web import middleware, visits

        # django-q2 looks tasks up by dotted name, and some wait in queues as `postbacks.tasks.…`.
        former_tasks = SimpleLazyObject(lambda: import_module("postbacks.worker.former_names"))
        vars(import_module("postbacks"))["tasks"] = former_tasks

        checks.register(check_times_nest)
        checks.register(check_partner_templates)
        checks.register(check_database_roles, checks.Tags.database)
        request_started.connect(middleware.renew_closed_connections)
        user_logged_out.connect(visits.end_with_session)
        user_logged_out.connect(audit.record_sign_out)
        user_logged_in.connect(audit.record_sign_in)
        authenticator_added.connect(audit.record_factor_added)
        authenticator_removed.connect(audit.record_factor_removed)
        post_migrate.connect(grants.grant_rights, sender=self)
        post_migrate.connect(partitions.ensure_partitions, sender=self)


class PostbacksAdminConfig(admin_apps.AdminConfig):
    default_site = "postbacks.admin_site.PostbacksAdminSite"
    default = False  # Django's own switch between two configurations
