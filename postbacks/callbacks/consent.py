"""Whether a device's person said no. Consent is missing only on evidence (contract, section 6)."""

from collections.abc import Collection, Mapping

_ATT_SAID_NO = {1, 2}  # restricted, denied
_US_OPT_OUT = 2  # IAB US Privacy string: version, notice, opt-out of sale, …


def consent_is_missing(fields: Mapping[str, object], *, partner: Collection[str]) -> bool:
    """Tell whether the event's privacy fields forbid sending personal data to this partner.

    `partner` holds whatever may name it: its name and its id.
    """
    return (
        fields.get("limit_ad_tracking") is True
        or fields.get("att_status") in _ATT_SAID_NO
        or _opted_out_of_sale(fields.get("us_privacy"))
        or _opted_out_of_sharing(fields.get("sharing_opt_out"), partner)
        or (
            (fields.get("eea") is True or fields.get("gdpr_applies") is True)
            and fields.get("ad_user_data") is not True
        )
    )


def _opted_out_of_sale(text: object) -> bool:
    return isinstance(text, str) and text[_US_OPT_OUT : _US_OPT_OUT + 1].upper() == "Y"


def _opted_out_of_sharing(partners: object, partner: Collection[str]) -> bool:
    if not isinstance(partners, list):
        return False
    names = {_plain(str(name)) for name in partners}
    return "all" in names or not names.isdisjoint(_plain(name) for name in partner)


def _plain(name: str) -> str:
    """Return a name as people mean it: Lumen Ads is lumen_ads and LumenAds."""
    return "".join(it for it in name.lower() if it.isalnum())
