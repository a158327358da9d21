"""The device and user of a call, in our fields."""

import re
from collections.abc import Mapping

from apps_registry.addresses import first_address
from apps_registry.models.apps import Platform
from postbacks.intake.tenjin.consent import read_consent
from postbacks.intake.tenjin.parameters import (
    ADVERTISING_ID_OF_PLATFORM,
    DEVICE,
    parse_text,
    read_platform,
)
from postbacks.values.identifiers import normalize_id
from postbacks.values.placeholders import is_placeholder

Fields = dict[str, object]

_ANDROID_OTHER = "android_other"
_IDS = (
    "analytics_installation_id",
    "advertising_id",
    "developer_device_id",
    "oaid",
    "customer_user_id",
)
_COUNTRY = re.compile(r"[A-Za-z]{2}")


def device_fields(sent: Mapping[str, object], *, platform: str) -> Fields:
    """Return our fields for a call's device; `platform` is the app's, if the call names none.

    What stands in place of an id is an id here: the check of the event leaves it out, and marks it.
    """
    fields: Fields = {
        ours: parse_text(sent[theirs])
        for theirs, ours in DEVICE.items()
        if theirs in sent and not isinstance(sent[theirs], dict | list)
    }
    named = parse_text(sent.get("platform")).lower()
    platform = read_platform(named) or "other" if named else platform
    fields["platform"] = platform or None
    installation = parse_text(sent.get("analytics_installation_id"))
    fields["install_id"] = installation_id(sent) or installation or None
    fields.update(_ids(sent, platform, named))
    fields.update(_system(sent, platform))
    fields.update(read_consent(sent))
    return _without_invalid(fields)


def installation_id(sent: Mapping[str, object]) -> str:
    """Return the `install_id` of a call's events; empty if the call names none."""
    text = parse_text(sent.get("analytics_installation_id"))
    return "" if is_placeholder(text) else normalize_id("install_id", text)


def left_out_ids(sent: Mapping[str, object]) -> list[str]:
    """Return the parameters with a word or a macro in place of an id."""
    return [name for name in _IDS if (text := parse_text(sent.get(name))) and is_placeholder(text)]


def is_country(text: str) -> bool:
    return _COUNTRY.fullmatch(text) is not None


def _ids(sent: Mapping[str, object], platform: str, named: str) -> Fields:
    fields: Fields = {}
    advertising = parse_text(sent.get("advertising_id"))
    if advertising:
        of_platform = None if named == _ANDROID_OTHER else ADVERTISING_ID_OF_PLATFORM.get(platform)
        fields[of_platform or "advertising_id"] = advertising
    vendor = parse_text(sent.get("developer_device_id"))
    if platform == Platform.IOS and vendor:
        fields["idfv"] = vendor
    return fields


def _system(sent: Mapping[str, object], platform: str) -> Fields:
    """Return the system's version; on Android `os_version` is the API level."""
    version = parse_text(sent.get("os_version"))
    return {
        "os_version": parse_text(sent.get("os_version_release")) or version or None,
        "api_level": version if platform == Platform.ANDROID and version.isdigit() else None,
    }


def _without_invalid(fields: Fields) -> Fields:
    """Drop an invalid country or address: an SDK can't help it, and its event is good."""
    if not is_country(str(fields.get("country", ""))):
        fields.pop("country", None)
    if address := first_address(str(fields.pop("ip_address", ""))):
        fields["ip_address"] = address
    return {name: value for name, value in fields.items() if value is not None}
