"""The country of an IP address, from the operator's GeoIP database (GEOIP_DATABASE).

The lookup happens once, when an event is received: a database that is replaced later must not
change what a retried postback says.
"""

from functools import cache
from pathlib import Path

import maxminddb
from django.conf import settings


def country_of(address: str) -> str | None:
    """Return the country as two capital letters; None if the database does not say."""
    reader = _open(settings.GEOIP_DATABASE)
    if reader is None:
        return None
    try:
        record = reader.get(address)
    except ValueError:  # not an address, or IPv6 in a database of IPv4
        return None
    country = record.get("country") if isinstance(record, dict) else None
    code = country.get("iso_code") if isinstance(country, dict) else country
    is_code = isinstance(code, str) and len(code) == len("DE") and code.isascii() and code.isalpha()
    return str(code).upper() if is_code else None


@cache
def _open(path: Path | None) -> maxminddb.Reader | None:
    return maxminddb.open_database(path) if path else None
