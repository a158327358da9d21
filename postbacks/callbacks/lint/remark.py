"""What can be remarked on a rule."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """This is the kind of a remark; programs may rely on it."""

    SINGLE_BRACES = "single_braces"
    VENDOR_PLACEHOLDER = "vendor_placeholder"
    NOT_ENCRYPTED = "not_encrypted"
    NOT_ENCODED = "not_encoded"
    DUPLICATE_PARAMETER = "duplicate_parameter"
    PERSONAL_WITHOUT_CONSENT = "personal_without_consent"
    NOT_ON_PLATFORM = "not_on_platform"
    REQUIRED_MISSING = "required_missing"


@dataclass(frozen=True, slots=True)
class RuleWarning:
    """This is one thing that is allowed and probably not meant.

    `field` is named as in a problem. `fix` takes the place of the `length` characters from
    `position` on; None where only a person can say what is right.
    """

    field: str
    position: int
    length: int
    code: Code
    message: str
    fix: str | None = None
