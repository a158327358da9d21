"""Postbacks on their way out, as callbacks render them and delivery sends them.

Neither stage needs to know the other.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

MASK = "•••"  # in place of secrets where people may see them


@dataclass(slots=True)  # not frozen: that would be a tenth of a postback's rendering
class OutgoingRequest:
    """One HTTP request, complete but for the headers that every postback carries."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def size(self) -> int:
        """Return about the bytes of its texts."""
        size = len(self.url) + len(self.body or b"")
        return size + sum(map(len, self.headers.values())) if self.headers else size


@dataclass(slots=True)  # not frozen, likewise
class Rendering:
    """A request rendered twice from the same values.

    `request` holds credentials and is stored nowhere, save sealed, while a test waits to be sent;
    `redacted` has `•••` in their place and is logged. `missing` names the macros without a value,
    in order of first appearance; `secrets` are the texts that credentials became in the request,
    to be masked where a partner echoes them.
    `has_pieces`: some are so short that even the place of a mask would reveal them.
    """

    request: OutgoingRequest
    redacted: OutgoingRequest
    missing: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    has_pieces: bool = False


@dataclass(slots=True)
class ClaimedPostback:
    """A postback's row, claimed by a worker. `id` is internal, `public_id` is what partners see.

    `rule_version` decided it. An attempt goes by the rule's current version, or by
    `pinned_version`. `fingerprint` is of the first attempt by `rule_version`; `other_fingerprints`
    is JSON, by the number of each other version.
    """

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
    other_fingerprints: str | None = None
    pinned_version: int | None = None
    install_id: int | None = None
    attribution_version: int = 1

    def fingerprint_of(self, rule_version: int) -> str:
        """Return the fingerprint of the first attempt by a version, "" before it."""
        if rule_version == self.rule_version:
            return self.fingerprint
        if not self.other_fingerprints:
            return ""
        return str(json.loads(self.other_fingerprints).get(str(rule_version), ""))

    @property
    def credit_version(self) -> tuple[int, int]:
        """Return the install and the version of its credit; install 0 where there is none."""
        return self.install_id or 0, self.attribution_version


@dataclass(slots=True)
class Lease:
    """A postback that this worker may send until the lease ends."""

    claim_id: UUID
    host: str
    kind: str
    tries: int  # of this retry schedule
    postback: ClaimedPostback
    is_paced: bool = False
    is_failing: bool = False  # its lane has a row in `circuit_breaker`
    is_probe: bool = False  # finds out whether its lane's partner answers again
    is_begun: bool = False  # the pump has noted that its request may be on the wire
    lane: tuple[int, str] = field(init=False)  # its organization, and its host with the port

    def __post_init__(self) -> None:
        self.lane = self.postback.organization_id, self.host


@dataclass(slots=True)
class RenderedPostback:
    """How to send a postback, or why it can't be sent.

    `held` means that its rule is suspended or off, `postponed` that a mistake of ours keeps it from
    being rendered now, `over_budget` that others of its batch took all memory or time; `skipped` is
    the code of a reason not to send it at all. `lane` and `is_paced` are those of the version that
    it was rendered by; the lane is None where no version could be read. `refusal` is a sentence for
    people, with `error` as its code. `secrets` are the credentials in the request, to be masked in
    answers; `signing` are the secrets that sign each attempt, the current one first. `varies` means
    that the request names its attempt, so attempts differ.
    """

    rendering: Rendering | None = None
    error: str = ""
    refusal: str = ""
    held: bool = False
    postponed: bool = False
    over_budget: bool = False
    skipped: str = ""
    rule_version: int = 0
    lane: str | None = None
    is_paced: bool = False
    timeout_seconds: float = 15.0
    success: Mapping[str, object] = field(default_factory=dict)
    retry_delays: tuple[int, ...] = ()
    secrets: tuple[str, ...] = ()
    varies: bool = False
    signing: tuple[str, ...] = field(default=(), repr=False)
    seconds: float = 0.0  # that it took to render, where that is worth knowing

    @property
    def size(self) -> int:
        """Return about the bytes that it takes in memory."""
        rendering = self.rendering
        if rendering is None:
            return 0
        size = rendering.request.size
        return size if rendering.redacted is rendering.request else 2 * size


class ReceivedAnswer(Protocol):
    """The answer to a request, as far as stages other than delivery read it.

    Without an answer `status_code` is None; `error` is why no complete one came.
    """

    @property
    def status_code(self) -> int | None: ...

    @property
    def body(self) -> bytes: ...

    @property
    def error(self) -> object | None: ...


class RequestSender(Protocol):
    """The guarded way out, which `delivery.http` implements."""

    def send(self, request: OutgoingRequest, *, timeout: float = ...) -> ReceivedAnswer: ...
