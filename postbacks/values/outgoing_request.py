"""What leaves the house: one request as it goes onto the wire, and its masked twin for people.

Rendering makes it, delivery sends it; neither needs to know the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(slots=True)  # not frozen: that would be a tenth of a postback's rendering
class OutgoingRequest:
    """One HTTP request, complete but for the headers that every postback carries."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(slots=True)  # not frozen, likewise
class Rendering:
    """A request rendered twice from the same values.

    `wire` holds credentials and is never stored; `shown` has `•••` in their place and is logged.
    `missing` names the macros that had no value, in order of first appearance; `secrets` are the
    texts that credentials became in the wire form, to be masked where a partner sends them back.
    """

    wire: OutgoingRequest
    shown: OutgoingRequest
    missing: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimedPostback:
    """A postback in a worker's hands: what its row says. `id` is ours, `public_id` the world's."""

    organization_id: int
    id: int
    public_id: UUID
    rule_id: int
    rule_version: int
    event_id: int
    event_received_at: datetime
    installed_at: datetime | None
    created_at: datetime
    attempts_made: int
    fingerprint: str
    install_id: int | None = None
    attribution_version: int = 1

    @property
    def credit_version(self) -> tuple[int, int]:
        """Return which version of which install's credit it tells; 0 where there is no install."""
        return self.install_id or 0, self.attribution_version


@dataclass(frozen=True, slots=True)
class RenderedPostback:
    """How a postback is to be sent, or why it can't be.

    `held` means not now: its rule is switched off. `refusal` is a sentence for people, with
    `error` as its code. `secrets` are the credentials in the wire form, to be masked in answers;
    `signing` are the secrets that each attempt is signed with, the current one first.
    `varies` means that the request says which attempt it is, and so differs from the first.
    """

    rendering: Rendering | None = None
    error: str = ""
    refusal: str = ""
    held: bool = False
    timeout_seconds: float = 15.0
    success: Mapping[str, object] = field(default_factory=dict)
    retry_delays: tuple[int, ...] = ()
    secrets: tuple[str, ...] = ()
    varies: bool = False
    signing: tuple[str, ...] = field(default=(), repr=False)


class ReceivedAnswer(Protocol):
    """What came back for a request, as far as others than delivery read it."""

    @property
    def status_code(self) -> int | None:
        """Return None where nothing came back."""

    @property
    def body(self) -> bytes: ...

    @property
    def error(self) -> object | None:
        """Return why no complete answer came, None where one did."""


class RequestSender(Protocol):
    """What sends requests through the guard: `delivery.http` has the one that does."""

    def send(self, request: OutgoingRequest, *, timeout: float = ...) -> ReceivedAnswer: ...
