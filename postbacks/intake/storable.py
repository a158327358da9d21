"""Whether PostgreSQL can hold what an event brings."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from postbacks.intake.events.faults import Fault

MAX_PARAMS_BYTES = 32 * 1024


def storage_faults(row: Mapping[str, object], params: object) -> list[Fault]:
    """Refuse what PostgreSQL can't hold, so that one event never spoils its neighbors."""
    if _anywhere(params, _is_huge_number):
        return [Fault("/params", "A number is too large or too small; send it as a string.")]
    faults: list[Fault] = []
    if len(msgspec.json.encode(params)) > MAX_PARAMS_BYTES:
        faults.append(Fault("/params", "The parameters are larger than 32 KB; send fewer."))
    if b"\\u0000" in msgspec.json.encode(row):  # nearly never, and then worth a closer look
        fields = row["fields"] if isinstance(row["fields"], dict) else {}
        faults.extend(
            Fault(f"/{name}", "The text holds a NUL character; remove it.")
            for name, value in {**row, "device": "", **fields}.items()
            if name != "fields" and _anywhere(value, _holds_nul)
        )
    return faults


def _anywhere(value: object, test: Callable[[object], bool]) -> bool:
    if isinstance(value, dict):
        return any(_anywhere(part, test) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(_anywhere(part, test) for part in value)
    return test(value)


def _is_huge_number(value: object) -> bool:
    if isinstance(value, Decimal):
        _sign, digits, exponent = value.as_tuple()
        return len(digits) > 300 or not isinstance(exponent, int) or abs(exponent) > 300
    return isinstance(value, int) and abs(value) >= 2**63


def _holds_nul(value: object) -> bool:
    return isinstance(value, str) and "\x00" in value
