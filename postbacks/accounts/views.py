"""The pages of allauth that need more than allauth knows: our members, browsers and limits."""

from typing import Any

from allauth.account.forms import LoginForm
from allauth.account.views import LoginView
from allauth.core import ratelimit
from allauth.mfa.webauthn import views as passkeys
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from allauth.usersessions.views import ListUserSessionsView
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps_registry.client_address import client_address, client_network
from apps_registry.models import User
from postbacks.accounts.single_sign_on import redirect_by_page, report_failure
from postbacks.infrastructure.rate_limits import limiter
from postbacks.infrastructure.rate_limits.counting import RateLimit

RETRY_AFTER_SECONDS = 300  # the longest window of ACCOUNT_RATE_LIMITS
PASSKEY_SIGN_INS = RateLimit(60, 60)  # per network
_THROTTLED = "too_many_login_attempts"

# In this order: Edge and Opera also say Chrome, Chrome also says Safari.
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "CrOS": "ChromeOS",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


class SignInForm(LoginForm):  # type: ignore[misc]  # allauth has no types
    """Asks for address and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        address, password = self.fields["login"], self.fields["password"]
        address.label, password.help_text = "E-mail address", ""
        address.widget.attrs |= {"autocomplete": "username webauthn", "autofocus": True}
        address.widget.attrs["placeholder"] = "you@example.com"
        password.widget.attrs["placeholder"] = ""


class SignInView(LoginView):  # type: ignore[misc]  # allauth has no types
    """Signs people in, and answers 429 after too many tries."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if isinstance(request.user, User) and not request.user.may_sign_in():
            return render(request, "accounts/no_membership.html")
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        if form.has_error("__all__", code=_THROTTLED):
            return too_many_tries(self.request)
        answer: HttpResponse = super().form_invalid(form)
        return answer


class SessionsView(ListUserSessionsView):  # type: ignore[misc]  # likewise
    """Lists where a person is signed in, and signs out everywhere else."""

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        page: dict[str, Any] = super().get_context_data(**context)
        for session in page["sessions"]:
            session.browser = browser_name(session.user_agent)
        return page


sign_in = SignInView.as_view()
sessions = SessionsView.as_view()


@never_cache
def passkey_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Sign a person in by passkey; of strangers' questions, each of which begins a session, few."""
    name = f"passkey-sign-in:{client_network(client_address(request))}"
    if not limiter.limit(name, PASSKEY_SIGN_INS).allowed:
        return too_many_tries(request)
    answer: HttpResponseBase = passkeys.login_webauthn(request)
    return answer


@never_cache
@require_POST  # a mere link must not begin a sign-in
def single_sign_on(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Redirect a person to the identity provider."""
    if not ratelimit.consume(request, action="login"):  # each begins a session
        return too_many_tries(request)
    try:
        answer = openid_connect.login(request, provider_id)
    except OSError as error:  # the provider can't be reached; errors of requests are OSErrors
        report_failure(request, error)
        return HttpResponseRedirect(reverse("account_login"))
    return redirect_by_page(request, answer)


@never_cache
def single_sign_on_cancelled(request: HttpRequest) -> HttpResponse:
    messages.info(request, "You left the single sign-on before it was done.")
    return HttpResponseRedirect(reverse("account_login"))


def too_many_tries(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    answer = render(request, "429.html", status=429)
    answer["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def browser_name(user_agent: str) -> str:
    """Return a browser's name as people know it, for example “Firefox on Windows”."""
    browser = _first_match(_BROWSERS, user_agent) or "Unknown browser"
    system = _first_match(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first_match(names: dict[str, str], user_agent: str) -> str | None:
    return next((name for token, name in names.items() if token in user_agent), None)
