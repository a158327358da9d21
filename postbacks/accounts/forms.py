"""Forms of people's accounts with labels and help texts of our own."""

from typing import Any

from allauth.account.forms import LoginForm
from django import forms
from django.contrib.auth.password_validation import validate_password

from apps_registry.models import User


class SignInForm(LoginForm):  # type: ignore[misc]  # allauth has no types
    """Asks for address and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        address, password = self.fields["login"], self.fields["password"]
        address.label, password.help_text = "E-mail address", ""
        address.widget.attrs |= {"autocomplete": "username webauthn", "autofocus": True}
        address.widget.attrs["placeholder"] = "you@example.com"
        password.widget.attrs["placeholder"] = ""


class JoinForm(forms.Form):
    """Asks an invited person for a name and a password."""

    name = forms.CharField(
        label="Your name",
        max_length=120,
        help_text="How colleagues see you, for example Ada Lovelace.",
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        help_text=(
            "At least 10 characters, and nothing that is easily guessed, for example three or "
            "four random words."
        ),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if password := values.get("password"):
            person = User(email=self.email, name=values.get("name", ""))
            try:
                validate_password(password, person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return values
