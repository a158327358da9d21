"""How one vendor writes its macros, and what each of them is with us."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vendor:
    """This is one vendor: how its URLs mark a macro, and which of its macros we have.

    `macros` leads from a bare name of theirs to our expression for the same value, without braces:
    `{"idfa_md5": "idfa_md5", "is_organic": "is_organic|int"}`.
    """

    key: str
    name: str
    before: str
    after: str
    macros: Mapping[str, str]

    def spelled(self, theirs: str) -> str:
        """This is a name of theirs as it stands in their URLs."""
        return f"{self.before}{theirs}{self.after}"


def same(names: str) -> dict[str, str]:
    """These are names that mean with them what they mean with us."""
    return {name: name for name in names.split()}
