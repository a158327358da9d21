"""The settings of an app that make Apple send copies to this installation."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

# Names below these are registered with the country's registry: example.co.uk is one name.
_SECOND_LEVEL = {"ac", "co", "com", "edu", "gov", "net", "ne", "or", "org"}


@dataclass(frozen=True, slots=True)
class SkanSetup:
    """The lines of an app's Info.plist, with the domain to which Apple shortens our host.

    With `is_sub_domain` the copies go to another host than this installation's own.
    """

    host: str
    domain: str

    @property
    def address(self) -> str:
        return f"https://{self.domain}"

    @property
    def is_sub_domain(self) -> bool:
        return self.host != self.domain

    @property
    def lines(self) -> str:
        """Return the lines of Info.plist, to be copied."""
        return "\n".join(
            (
                "<key>NSAdvertisingAttributionReportEndpoint</key>",
                f"<string>{self.address}</string>",
                "<key>AdAttributionKit</key>",
                "<dict>",
                "  <key>AttributionCopyEndpoint</key>",
                f"  <string>{self.address}</string>",
                "</dict>",
            )
        )


def skan_setup(public_url: str) -> SkanSetup:
    """Return the settings for an installation at an address."""
    host = urlsplit(public_url).hostname or "example.com"
    return SkanSetup(host, registrable(host))


def registrable(host: str) -> str:
    """Return the part of a host that can be registered, as far as its shape tells."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        is_country = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
        return ".".join(labels[-3 if is_country else -2 :])
    return host
