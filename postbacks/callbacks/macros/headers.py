"""The header templates, compiled."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros.encoders import for_header
from postbacks.callbacks.macros.problems import Problems, RenderError
from postbacks.callbacks.macros.skeleton import HOLE, Chunk, Skeleton, fill

MOST_HEADERS: Final = 20
LONGEST_VALUE: Final = 4_096

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CONTROL: Final = re.compile(r"[\x01-\x08\x0a-\x1f\x7f-\x9f]")

# The connection's own, those that would make another request of it, and those that we set.
_FORBIDDEN: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"),
        *("expect", "keep-alive", "cookie", "cookie2", "forwarded", "via"),
        *("idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"),
    }
)
_FORBIDDEN_BEGINNINGS: Final = ("proxy-", "x-forwarded-")

# Some networks want to be told by these which device an event comes from, as if it called itself:
# Google Ads requires both. Without a value they are left out, whatever a rule says of missing
# values: our own User-Agent goes in its place, and an empty X-Forwarded-For would name nobody.
_OF_THE_DEVICE: Final = frozenset({"user-agent", "x-forwarded-for"})


@dataclass(frozen=True, slots=True)
class CompiledHeader:
    """This is one header; `droppable` numbers the macros that make up its whole value.

    `needs_value` is set for those that say nothing while they are empty.
    """

    name: str
    chunks: tuple[Chunk, ...]
    droppable: tuple[int, ...]
    needs_value: bool = False


@dataclass(frozen=True, slots=True)
class CompiledHeaders:
    """This is all headers of a rule."""

    headers: tuple[CompiledHeader, ...]
    drop: bool

    def render(self, results: Sequence[object]) -> dict[str, str]:
        """This writes the headers, without those that are dropped."""
        written = {}
        for header in self.headers:
            dropped = self.drop and header.droppable
            if dropped and all(results[it] is None for it in header.droppable):
                continue
            value = fill(header.chunks, results).strip()
            if header.needs_value and not value:
                continue
            if len(value) > LONGEST_VALUE:
                raise RenderError(
                    "header_too_long", f"{header.name} is longer than {LONGEST_VALUE} characters."
                )
            written[header.name] = value
        return written


def check_name(
    name: str, earlier: set[str], problems: Problems, *, proves_us: bool = False
) -> None:
    """This notes what is wrong with a header's name.

    A header that `proves_us` says who sends, so it can't be one that tells of the device.
    """
    lowered = name.lower()
    if not _NAME.fullmatch(name):
        problems.add(0, "This is not the name of a header.")
    elif proves_us and lowered in _OF_THE_DEVICE:
        problems.add(0, f"{name} tells of the device and can't prove who sends.")
    elif _is_forbidden(lowered):
        problems.add(0, f"{name} is set by the connection or by us and can't be changed.")
    elif lowered in earlier:
        problems.add(0, f"{name} is there twice.")
    earlier.add(lowered)


def compile_header(name: str, skeleton: Skeleton, problems: Problems) -> CompiledHeader:
    """This compiles one header."""
    text = skeleton.text
    if control := _CONTROL.search(text):
        problems.add(skeleton.position(control.start()), "A header can't have control characters.")
    wide = next((at for at, it in enumerate(text) if it > "\xff"), None)
    if wide is not None:
        problems.add(skeleton.position(wide), "A header can't have this character (not Latin-1).")
    only_macros = bool(text) and not text.strip(HOLE)
    return CompiledHeader(
        name=name,
        chunks=skeleton.chunks(0, len(text), str, for_header),
        droppable=tuple(it.index for it in skeleton.holes.values()) if only_macros else (),
        needs_value=name.lower() in _OF_THE_DEVICE,
    )


def _is_forbidden(name: str) -> bool:
    if name in _OF_THE_DEVICE:
        return False
    return name in _FORBIDDEN or name.startswith(_FORBIDDEN_BEGINNINGS)
