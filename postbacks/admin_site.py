"""The admin site. It stands outside `postbacks/admin/`: inside, it would be set up twice."""

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from apps_registry.models import User


class SignInForm(AdminAuthenticationForm):
    """Lets in whoever is a member of an organization."""

    def confirm_login_allowed(self, user: AbstractBaseUser | AnonymousUser) -> None:
        """Refuse a person who is inactive or a member of nothing, in words that help."""
        if not user.is_active:
            raise self.get_invalid_login_error()
        if not isinstance(user, User) or not user.memberships_for_sign_in().exists():
            raise ValidationError(
                "You are not a member of an organization yet. Ask an owner to add you.",
                code="no_membership",
            )


class PostbacksAdminSite(AdminSite):
    """The web UI for marketers and analysts."""

    site_title = "Postbacks"
    site_header = "Postbacks"
    index_title = "Overview"
    login_form = SignInForm
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in members; what each may do is decided by the role, page by page."""
        return bool(request.user.is_active and getattr(request, "membership", None))

