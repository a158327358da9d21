"""Rows of secrets that machines sign in with: made once, stored as a hash."""

from typing import Any, ClassVar

from apps_registry.crypto import keys
from postbacks.api.strict import RowSerializer


class KeySerializer(RowSerializer):
    """A key or token. Once it is made, `secret` holds it for the answer and nothing else does."""

    kind_of_key: ClassVar[str]
    secret: str

    def write(self, row: Any) -> None:
        """Make the secret and store its hash."""
        fresh = keys.make_key(self.kind_of_key)
        row.prefix, row.hash = fresh.prefix, fresh.hash
        row.save()
        self.secret = fresh.secret
