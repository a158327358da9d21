"""What an app must say so that Apple's copies come here."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

# Below these, names are given out by the country's registry: example.co.uk is one name.
_SECOND_LEVEL = {"ac", "co", "com", "edu", "gov", "net", "ne", "or", "org"}


@dataclass(frozen=True, slots=True)
class SkanSetup:
    """The lines of an app's Info.plist, and the name that Apple makes of our address.

    `is_sub_domain` tells that the copies go to another host than this installation's own.
    """

    host: str
    domain: str

    @property
    def address(self) -> str:
        """Return what goes into Info.plist."""
        return f"https://{self.domain}"

    @property
    def is_sub_domain(self) -> bool:
        """Tell whether Apple leaves a part of the host out."""
        return self.host != self.domain

    @property
    def lines(self) -> str:
        """Return what goes into Info.plist, to be copied."""
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
    """Return what an app must say for an installation at this address."""
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
