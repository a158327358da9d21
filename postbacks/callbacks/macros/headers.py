"""Compiles and renders the header templates."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros.encoders import for_header
from postbacks.callbacks.macros.problems import Problems, too_large
from postbacks.callbacks.macros.skeleton import (
    HOLE,
    Skeleton,
    SkeletonRow,
    all_missing,
    laid_out,
)

LONGEST_VALUE: Final = 4_096

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CONTROL: Final = re.compile(r"[\x01-\x08\x0a-\x1f\x7f-\x9f]")

# The connection's own headers, those that would turn the request into another, and ours.
_FORBIDDEN: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"),
        *("expect", "keep-alive", "cookie", "cookie2", "forwarded", "via"),
        *("idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"),
    }
)
_FORBIDDEN_BEGINNINGS: Final = ("proxy-", "x-forwarded-")

# Some networks identify an event's device by these, as if it called itself: Google Ads requires
# both. Without a value they are dropped, whatever the rule does with missing values: our own
# User-Agent takes the place of the one, and an empty X-Forwarded-For would name nobody.
_DEVICE_HEADERS: Final = frozenset({"user-agent", "x-forwarded-for"})


@dataclass(frozen=True, slots=True)
class CompiledHeader:
    """One header; `droppable` are the indexes of the macros that make up its whole value.

    With `needs_value` an empty header is never sent.
    """

    name: str
    row: SkeletonRow
    droppable: tuple[int, ...]
    needs_value: bool = False


@dataclass(frozen=True, slots=True)
class CompiledHeaders:
    """All headers of a rule."""

    headers: tuple[CompiledHeader, ...]
    drop: bool

    def render(self, results: Sequence[object], room: int = 0) -> dict[str, str]:
        """Render the headers that are not dropped; each may be longer by `room`.

        Raises RenderError for one that is too long.
        """
        rendered = {}
        for header in self.headers:
            if self.drop and all_missing(header.droppable, results):
                continue
            value = header.row.fill(results).strip()
            if header.needs_value and not value:
                continue
            if len(value) > LONGEST_VALUE + room:
                raise too_large(f"The header {header.name}", LONGEST_VALUE)
            rendered[header.name] = value
        return rendered


def check_name(
    name: str, earlier: set[str], problems: Problems, *, proves_us: bool = False
) -> None:
    """Add the problems of a header's name.

    A header that `proves_us` says who sends, so it can't be one that identifies the device.
    """
    lowered = name.lower()
    if not _NAME.fullmatch(name):
        problems.add(0, "This is not the name of a header.")
    elif proves_us and lowered in _DEVICE_HEADERS:
        problems.add(0, f"{name} tells of the device and can't prove who sends.")
    elif _is_forbidden(lowered):
        problems.add(0, f"{name} is set by the connection or by us and can't be changed.")
    elif lowered in earlier:
        problems.add(0, f"{name} is there twice.")
    earlier.add(lowered)


def compile_header(name: str, skeleton: Skeleton, problems: Problems) -> CompiledHeader:
    text = skeleton.text
    if control := _CONTROL.search(text):
        problems.add(skeleton.position(control.start()), "A header can't have control characters.")
    wide = next((at for at, char in enumerate(text) if char > "\xff"), None)
    if wide is not None:
        problems.add(skeleton.position(wide), "A header can't have this character (not Latin-1).")
    only_macros = bool(text) and not text.strip(HOLE)
    return CompiledHeader(
        name=name,
        row=laid_out(skeleton.chunks(0, len(text), str, for_header)),
        droppable=tuple(hole.index for hole in skeleton.holes.values()) if only_macros else (),
        needs_value=name.lower() in _DEVICE_HEADERS,
    )


def _is_forbidden(name: str) -> bool:
    if name in _DEVICE_HEADERS:
        return False
    return name in _FORBIDDEN or name.startswith(_FORBIDDEN_BEGINNINGS)
