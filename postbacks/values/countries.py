"""ISO 3166: the countries of the world, by the codes and names that people write."""

import csv
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Final


def canonical_country(code: str) -> str:
    """Return a code as ISO 3166 has it: `gb` and `UK` are GB, `EL` is GR.

    Any other text comes back in capitals.
    """
    code = code.strip().upper()
    return _SAME_COUNTRY.get(code, code)


def _names() -> Iterator[tuple[str, str]]:
    path = Path(__file__).with_name("countries.csv")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name in (row["code"], row["alpha_3"], row["name"], *row["also"].split("|")):
                if name:
                    yield name.casefold(), row["code"]


# Codes that ISO 3166 reserves, and many systems write, for a country that has another one.
_SAME_COUNTRY: Final = {"UK": "GB", "EL": "GR"}

# Kosovo has no code of ISO's yet; XK is the one that stores and GeoIP databases use.
COUNTRY_BY_NAME: Final = MappingProxyType(dict(_names()))
COUNTRIES: Final = frozenset(COUNTRY_BY_NAME.values())
OTHER_CODES: Final = MappingProxyType(_SAME_COUNTRY)
