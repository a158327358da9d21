"""The page that translates a URL written for another tool into one of ours."""

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode

from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.tenant_admin import SubPage
from apps_registry.roles import Right
from postbacks.admin.logs.base import is_id
from postbacks.callbacks.macros.vendors import GENERIC, VENDORS
from postbacks.callbacks.translation import AUTO, LONGEST_URL, Certainty, Translation, translate

URL_IN_SESSION = "translated_url"
USE = "translated"  # parameter of a new rule's address: begin with the translated URL

_CERTAINTY_NOTES = {
    Certainty.CERTAIN: "Only {name} writes it like this.",
    Certainty.LIKELY: "Most of its macros are {name}'s. If it is another tool's, choose that.",
    Certainty.GUESS: "It could also be another tool's: choose whose it is if you know.",
    Certainty.GIVEN: "",
}


class PastedUrlForm(forms.Form):
    """Asks for a URL and the tool that it was written for."""

    url = forms.CharField(
        label="URL from another tool",
        max_length=LONGEST_URL,
        widget=forms.Textarea(
            attrs={
                "class": "rule-input",
                "rows": 4,
                "spellcheck": "false",
                "autocomplete": "off",
                "aria-describedby": "id_url_help",
            }
        ),
        help_text="The callback or postback URL, for example "
        "https://ads.example.com/?id={idfa||gps_adid}&event={event_name}. Several at once, "
        "quotes, line breaks and text around it are understood.",
    )
    vendor = forms.ChoiceField(
        label="Written for",
        choices=[
            (AUTO, "Find out"),
            *((vendor.key, vendor.name) for vendor in VENDORS.values()),
            (GENERIC.key, GENERIC.name),
        ],
        initial=AUTO,
        required=False,
        widget=forms.Select(attrs={"class": "rule-input", "aria-describedby": "id_vendor_help"}),
        help_text="Each tool writes its macros in its own way.",
    )


class TranslatePage(SubPage):
    """Serve the page, below the list of callback rules."""

    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view(self.view)
        return [path("translate/", view, name="postbacks_callbackrule_translate")]

    def view(self, request: HttpRequest) -> HttpResponse:
        form = PastedUrlForm(request.POST or None)
        translation = None
        if form.is_bound and form.is_valid():
            translation = translate(form.cleaned_data["url"], form.cleaned_data["vendor"] or AUTO)
        may_use = allowed(request, Right.SET_UP)
        if translation is not None and "_use" in request.POST and may_use:
            # In the session: it may be too long for an address.
            request.session[URL_IN_SESSION] = _chosen(translation, request.POST["_use"]).url
            query = urlencode({USE: "1", **_rows_of_rule(request)})
            return HttpResponseRedirect(f"{reverse('admin:postbacks_callbackrule_add')}?{query}")
        context = {
            **self.site.each_context(request),
            "opts": self.model_admin.opts,
            "title": "Paste a URL from another tool",
            "back": reverse("admin:postbacks_callbackrule_changelist"),
            "form": form,
            "translation": translation,
            "certainty": _certainty_note(translation) if translation else "",
            "may_use": may_use,
        }
        return TemplateResponse(request, "admin/postbacks/callbackrule/translate.html", context)


def _rows_of_rule(request: HttpRequest) -> dict[str, str]:
    """Return the app and the partner of the new rule, from whose page the URL was pasted."""
    keys = {name: request.GET.get(name, "") for name in ("app", "partner")}
    return {name: key for name, key in keys.items() if is_id(key)}


def _certainty_note(translation: Translation) -> str:
    if translation.is_generic and translation.certainty == Certainty.GUESS:
        return (
            "Many tools write it like this, so it was read with the words that they share: "
            "choose whose it is if you know."
        )
    note = _CERTAINTY_NOTES[translation.certainty] if translation.vendor else ""
    return note.format(name=translation.vendor_name)


def _chosen(translation: Translation, number: str) -> Translation:
    """Return the URL whose button was pressed; they count from 1."""
    urls = (translation, *translation.others)
    index = int(number) - 1 if number.isascii() and number.isdigit() and len(number) < 3 else 0
    return urls[index] if 0 <= index < len(urls) else translation


def translated_url(request: HttpRequest) -> str:
    """Return the translated URL with which a new rule begins, "" for none."""
    return str(request.session.get(URL_IN_SESSION, "")) if USE in request.GET else ""
