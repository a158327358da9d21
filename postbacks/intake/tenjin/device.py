"""Who and where, by Tenjin's names."""

import re
from collections.abc import Mapping
from ipaddress import ip_address

from postbacks.intake.tenjin.names import (
    ADVERTISING_IDS,
    DEVICE,
    FLAGS,
    PLATFORMS,
    TRACKING_STATUS,
)
from postbacks.intake.tenjin.numbers import number
from postbacks.values.identifiers import is_no_id

Fields = dict[str, object]

_ANDROID_OTHER = "android_other"
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_YES_AND_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def device_of(given: Mapping[str, object], *, platform: str) -> Fields:
    """Return our fields for a call's device; `platform` is the app's, if the call names none."""
    fields: Fields = {
        ours: text(given[theirs])
        for theirs, ours in DEVICE.items()
        if theirs in given and not isinstance(given[theirs], dict | list)
    }
    told = text(given.get("platform")).lower()
    platform = PLATFORMS.get(told, "other") if told else platform
    fields["platform"] = platform or None
    fields["install_id"] = _installation(text(given.get("analytics_installation_id")))
    fields.update(_ids(given, platform, told))
    fields.update(_system(given, platform))
    fields.update({name: _flag(given.get(name)) for name in FLAGS})
    status = number(given.get(TRACKING_STATUS))
    fields["att_status"] = int(status) if status in {0, 1, 2, 3} else None
    return _believable(fields)


def installation_of(given: Mapping[str, object]) -> str:
    """Return a call's installation, as `install_id` of its events; empty if it names none."""
    return _installation(text(given.get("analytics_installation_id"))) or ""


def text(value: object) -> str:
    """Return a parameter as a text, empty if it was not sent."""
    return "" if value is None else str(value).strip()


def _installation(value: str) -> str | None:
    """Return the installation's id in one form: servers leave the hyphens out that SDKs send."""
    if is_no_id(value):
        return None
    return value.replace("-", "").lower() if _UUID.fullmatch(value) else value


def _ids(given: Mapping[str, object], platform: str, told: str) -> Fields:
    fields: Fields = {}
    advertising = text(given.get("advertising_id"))
    if not is_no_id(advertising):
        generic = "advertising_id"
        name = generic if told == _ANDROID_OTHER else ADVERTISING_IDS.get(platform, generic)
        fields[name] = advertising
    vendor = text(given.get("developer_device_id"))
    if platform == "ios" and not is_no_id(vendor):
        fields["idfv"] = vendor
    return fields


def _system(given: Mapping[str, object], platform: str) -> Fields:
    """Return the version of the system. Android's `os_version` is its API level."""
    version = text(given.get("os_version"))
    return {
        "os_version": text(given.get("os_version_release")) or version or None,
        "api_level": version if platform == "android" and version.isdigit() else None,
    }


def _flag(value: object) -> bool | None:
    return _YES_AND_NO.get(text(value).lower())


def _believable(fields: Fields) -> Fields:
    """Leave out what an SDK can't help, rather than refuse its event."""
    if not _COUNTRY.fullmatch(str(fields.get("country", ""))):
        fields.pop("country", None)
    try:
        ip_address(str(fields.get("ip_address", "")))
    except ValueError:
        fields.pop("ip_address", None)
    return {name: value for name, value in fields.items() if value is not None}
