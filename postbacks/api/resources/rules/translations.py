"""URLs that were written for other vendors, translated."""

from typing import Any

from rest_framework import serializers

from postbacks.api.strict import StrictSerializer
from postbacks.callbacks.macros.vendors import VENDORS
from postbacks.callbacks.translation import AUTO, LONGEST_URL, Certainty, translate


class TranslateSerializer(StrictSerializer):
    """A callback URL and whose macros are in it."""

    url = serializers.CharField(
        max_length=LONGEST_URL, help_text="For example https://a.example.com/?id={idfa||gps_adid}."
    )
    vendor = serializers.ChoiceField(
        [*VENDORS, AUTO], default=AUTO, help_text="Who it was written for; auto finds out."
    )


class TranslatedSerializer(serializers.Serializer):
    """A placeholder and the macro that it became."""

    theirs = serializers.CharField()
    ours = serializers.CharField()


class UntranslatedSerializer(serializers.Serializer):
    """A placeholder that was taken out, and why."""

    theirs = serializers.CharField()
    why = serializers.CharField()


class TranslationSerializer(serializers.Serializer):
    """The URL in our macro language."""

    vendor = serializers.ChoiceField([*VENDORS], allow_null=True)
    certainty = serializers.ChoiceField([(it.value, it.value) for it in Certainty])
    url = serializers.CharField()
    translated = TranslatedSerializer(many=True)
    untranslated = UntranslatedSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())


def translation_of(url: str, vendor: str) -> dict[str, Any]:
    """Return the answer of the API."""
    done = translate(url, vendor)
    return {
        "vendor": done.vendor or None,
        "certainty": done.certainty.value,
        "url": done.url,
        "translated": [{"theirs": it.theirs, "ours": it.ours} for it in done.translated],
        "untranslated": [{"theirs": it.theirs, "why": it.why} for it in done.untranslated],
        "notes": list(done.notes),
    }
