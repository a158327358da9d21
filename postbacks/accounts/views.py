"""The pages of allauth where they have to know our people."""

from typing import Any

from allauth.account.views import LoginView
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from allauth.usersessions.views import ListUserSessionsView
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps_registry.models import User
from postbacks.accounts.browsers import browser_name
from postbacks.accounts.single_sign_on import leave_for, note_failure
from postbacks.accounts.throttling import too_many_tries

_THROTTLED = "too_many_login_attempts"


class SignInView(LoginView):  # type: ignore[misc]  # allauth has no types
    """Signs people in, and answers 429 to who tries too often."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Tell a person who is signed in, but a member of nothing, what is missing."""
        if isinstance(request.user, User) and not request.user.may_sign_in():
            return render(request, "accounts/no_membership.html")
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form with its errors, or say how long to wait."""
        if form.has_error("__all__", code=_THROTTLED):
            return too_many_tries(self.request)
        answer: HttpResponse = super().form_invalid(form)
        return answer


class SessionsView(ListUserSessionsView):  # type: ignore[misc]  # likewise
    """Lists where a person is signed in, and signs out everywhere else."""

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Name browsers as people know them."""
        shown: dict[str, Any] = super().get_context_data(**context)
        for session in shown["sessions"]:
            session.browser = browser_name(session.user_agent)
        return shown


sign_in = SignInView.as_view()
sessions = SessionsView.as_view()


@never_cache
@require_POST  # a mere link must not begin a sign-in
def single_sign_on(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send a person on to the identity provider."""
    try:
        answer = openid_connect.login(request, provider_id)
    except OSError as error:  # it can't be reached; what requests raises is one too
        note_failure(request, error)
        return HttpResponseRedirect(reverse("account_login"))
    return leave_for(request, answer)


@never_cache
def single_sign_on_cancelled(request: HttpRequest) -> HttpResponse:
    """Lead back who left the identity provider without signing in."""
    messages.info(request, "You left the single sign-on before it was done.")
    return HttpResponseRedirect(reverse("account_login"))
