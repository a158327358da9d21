"""What a call is told beside its answer: values that were read otherwise, and those left out.

The remarks are plain ASCII, since a header carries them.
"""

from collections.abc import Iterator, Mapping

from apps_registry.addresses import first_address
from postbacks.intake.tenjin.consent import unread_consent
from postbacks.intake.tenjin.device import is_country, left_out_ids
from postbacks.intake.tenjin.parameters import SentParameters, parse_text, read_platform

_LONGEST_SHOWN = 40
_MOST_NAMED = 5


def remarks_on_device(sent: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence for each parameter of the device or person that was not taken as sent."""
    if names := left_out_ids(sent):
        yield f"No ids, so they were left out: {', '.join(names)}"
    for name, taken_as in unread_consent(sent).items():
        yield (
            f"{name}: {_shown(sent[name])} is no known value, so it was taken as {taken_as}; "
            f"{'send 0, 1, 2 or 3' if taken_as[0].isdigit() else 'send 0 or 1'}"
        )
    country, address, platform = (
        parse_text(sent.get(name)) for name in ("country", "ip_address", "platform")
    )
    if country and not is_country(country):
        yield f"country: {_shown(country)} is no code of two letters such as DE; kept in params"
    if address and not first_address(address):
        yield f"ip_address: {_shown(address)} is no IP address; kept in params"
    if platform and not read_platform(platform):
        yield f"platform: {_shown(platform)} is unknown and counts as other; send ios or android"


def remarks_on_repeated(parameters: SentParameters) -> Iterator[str]:
    """Yield a sentence for the parameters that were sent with several values, if any."""
    if parameters.repeated:
        names = sorted(map(_shown, parameters.repeated))[:_MOST_NAMED]
        yield f"Sent with several values, of which the last counts: {', '.join(names)}"


def _shown(value: object) -> str:
    text = parse_text(value)[:_LONGEST_SHOWN]
    plain = (c if c.isascii() and c.isprintable() and c not in "\"\\'" else "?" for c in text)
    return f"'{''.join(plain)}'"
