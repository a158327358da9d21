"""What a stranger can try in the pages of accounts with the ids of somebody else's rows."""

from collections.abc import Iterator

from allauth.mfa.models import Authenticator

from apps_registry.models import Invitation
from tests.isolation.calls import Call
from tests.isolation.routes import Route
from tests.isolation.story import Story


def account_calls(route: Route, victim: Story) -> Iterator[Call]:
    """Yield calls of one route; a second factor's id is all that an address can hold of a row."""
    owner = victim.tenant.owner
    values = {
        "pk": Authenticator.objects.filter(user=owner).values_list("pk", flat=True),
        "token": Invitation.objects.filter(organization=victim.tenant.organization).values_list(
            "token_hash", flat=True
        ),
        "provider_id": ["sso"],
    }
    if route.parameters == ("uidb36", "key"):
        paths = [route.template % {"uidb36": owner.pk, "key": "set-password"}]
    elif route.parameters:
        (parameter,) = route.parameters
        paths = [route.template % {parameter: value} for value in values[parameter]]
        assert paths, f"{route.template} is not swept"
    else:
        paths = [route.template]
    for path in paths:
        yield Call("GET", path)
        yield Call("POST", path, form={"email": owner.email, "name": "probe"})
