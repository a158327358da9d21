"""Who is calling: an app with its key."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tests.bench.naive.models import Key


class KeyAuthentication(BaseAuthentication):
    """This knows an app by the key that it sends."""

    def authenticate(self, request: Request) -> tuple[Key, None]:
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            return Key.objects.get(secret=secret), None
        except Key.DoesNotExist:
            raise AuthenticationFailed("The key is not known.") from None
