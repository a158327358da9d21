"""Partners from templates, and URLs from other tools, in the web UI."""

import pytest

from apps_registry.models import Partner
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, RuleStatus
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

RULES = "/admin/postbacks/callbackrule/"
GALLERY = f"{RULES}templates/"
TIKTOK = f"{GALLERY}tiktok/"
TRANSLATE = f"{RULES}translate/"
ANSWERS = {
    "name": "TikTok",
    "app": "",
    "credential_access_token": "a-secret-token-1234",
    "credential_tiktok_app_id": "7123456789012345678",
    "events_0": ["install", "purchase"],
}


def _partners(made: make.Tenant) -> list[Partner]:
    with tenant(made.organization.pk):
        return list(Partner.objects.prefetch_related("credentials"))


def _rules(made: make.Tenant) -> list[CallbackRule]:
    with tenant(made.organization.pk):
        return list(CallbackRule.objects.order_by("pk").select_related("partner", "app"))


def test_the_gallery_shows_each_group_and_what_is_not_verified() -> None:
    page = sign_in(make.make_tenant().owner).get(GALLERY).content.decode()

    assert "Ad networks" in page
    assert "Measurement partners (MMPs)" in page
    assert "Your own systems" in page
    assert "Not verified" in page
    assert TIKTOK in page


def test_the_gallery_can_be_searched() -> None:
    browser = sign_in(make.make_tenant().owner)

    html = browser.get(GALLERY, {"q": "tiktok"}).content.decode()
    nothing = browser.get(GALLERY, {"q": "<script>alert(1)</script>"}).content.decode()

    assert TIKTOK in html
    assert f"{GALLERY}slack/" not in html
    assert "No template has" in nothing
    assert "<script>alert(1)" not in nothing


def test_who_looks_for_a_network_without_a_template_is_told_why() -> None:
    browser = sign_in(make.make_tenant().owner)

    everything = browser.get(GALLERY).content.decode()
    html = browser.get(GALLERY, {"q": "twitter"}).content.decode()
    other = browser.get(GALLERY, {"q": "slack"}).content.decode()

    assert "Not available yet, and why" in everything
    assert "OAuth 1.0a" in html
    assert "Chartboost" not in html
    assert "No template has" not in html
    assert "Not available yet" not in other


def test_what_is_sent_names_headers_too() -> None:
    page = sign_in(make.make_tenant().owner).get(f"{GALLERY}google-ads/").content.decode()

    assert "Partly verified" in page
    assert "X-Forwarded-For" in page
    assert "{{ip_address!}}" in page


def test_answers_become_a_partner_and_a_draft_rule() -> None:
    made = make.make_tenant()

    answer = sign_in(made.owner).post(TIKTOK, {**ANSWERS, "app": made.app.pk})

    (partner,), (rule,) = _partners(made), _rules(made)
    assert answer.url == f"{RULES}{rule.pk}/change/"
    assert (partner.name, partner.template) == ("TikTok", "tiktok")
    assert partner.allowed_hosts == ["business-api.tiktok.com"]
    assert {credential.name for credential in partner.credentials.all()} == {
        "access_token",
        "tiktok_app_id",
    }
    assert (rule.status, rule.partner, rule.app) == (RuleStatus.DRAFT, partner, made.app)
    assert rule.triggers == ["install", "purchase"]
    assert rule.event_map == {"install": "InstallApp", "purchase": "Purchase"}
    assert rule.headers == {"Access-Token": "{{credential.access_token}}"}


def test_blanks_around_a_pasted_answer_are_left_out() -> None:
    """Complaint 40: a token that was copied with its line break is refused by the partner."""
    made = make.make_tenant()
    pasted = {"credential_access_token": " a-secret-token-1234\r\n", "name": " TikTok "}

    sign_in(made.owner).post(TIKTOK, {**ANSWERS, **pasted})

    (partner,) = _partners(made)
    assert partner.name == "TikTok"
    with tenant(made.organization.pk):
        token = partner.credentials.get(name="access_token")
        assert token.reveal() == "a-secret-token-1234"


def test_a_rule_that_a_template_made_can_be_opened_and_saved() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    browser.post(TIKTOK, ANSWERS)
    (rule,) = _rules(made)

    on = {"status": "active", "_anyway": "1"}
    answer = submit(browser, f"{RULES}{rule.pk}/change/", on)

    assert answer.status_code == 302
    assert _rules(made)[0].status == RuleStatus.ACTIVE


def test_a_marketer_needs_no_owner_for_a_known_network() -> None:
    made = make.make_tenant()
    marketer = make.make_user(Role.MARKETER, organization=made.organization)

    sign_in(marketer).post(TIKTOK, ANSWERS)

    assert _partners(made)[0].allowed_hosts == ["business-api.tiktok.com"]


def test_each_request_of_a_template_becomes_a_rule_unless_it_has_no_events() -> None:
    made = make.make_tenant()
    answers = {"name": "Unity Ads", "app": "", "credential_game_id": "123"}

    sign_in(made.owner).post(
        f"{GALLERY}unity-ads/", {**answers, "events_0": ["install"], "events_1": ["open"]}
    )
    sign_in(made.owner).post(
        f"{GALLERY}unity-ads/", {**answers, "name": "Second", "events_0": ["install"]}
    )

    assert [rule.name for rule in _rules(made)] == [
        "Unity Ads: installs",
        "Unity Ads: events",
        "Second: installs",
    ]


def test_names_of_an_account_are_asked_for() -> None:
    made = make.make_tenant()

    sign_in(made.owner).post(
        f"{GALLERY}adjust/",
        {
            "name": "Adjust",
            "app": "",
            "credential_app_token": "4w565xzmb54d",
            "credential_s2s_token": "t",
            "events_0": "purchase = abc123\r\nlevel_7 = def456",
        },
    )

    (rule,) = _rules(made)
    assert rule.triggers == ["purchase", "level_7"]
    assert rule.event_map == {"purchase": "abc123", "level_7": "def456"}


def test_what_is_missing_is_told_and_nothing_is_added() -> None:
    made = make.make_tenant()

    page = sign_in(made.owner).post(TIKTOK, {"name": "TikTok", "app": ""}).content.decode()

    assert "Nothing was added." in page
    assert "At least one event to report." in page
    assert "Access token: In TikTok Events Manager" in page
    assert (_partners(made), _rules(made)) == ([], [])


def test_while_typing_only_the_list_of_what_is_missing_is_answered() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    part = browser.post(TIKTOK, {**ANSWERS, "_live": "1"}).content.decode()
    wanting = browser.post(TIKTOK, {"_live": "1", "name": "x"}).content.decode()

    assert "Nothing is missing" in part
    assert "<form" not in part
    assert "a-secret-token-1234" not in part
    assert "TikTok app ID" in wanting
    assert _partners(made) == []


def test_a_name_that_is_taken_is_refused() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    browser.post(TIKTOK, ANSWERS)

    page = browser.post(TIKTOK, ANSWERS).content.decode()

    assert "Another partner has this name." in page
    assert len(_partners(made)) == 1


def test_a_secret_never_comes_back_to_the_page() -> None:
    made = make.make_tenant()

    page = sign_in(made.owner).post(TIKTOK, {**ANSWERS, "name": ""}).content.decode()

    assert "a-secret-token-1234" not in page


def test_an_address_is_checked_before_anything_is_added() -> None:
    made = make.make_tenant()
    answers = {"name": "Warehouse", "app": "", "events_0": ["*"]}
    browser = sign_in(made.owner)

    inside = browser.post(f"{GALLERY}own-server-get/", {**answers, "address": "http://10.0.0.1/x"})
    good = browser.post(
        f"{GALLERY}own-server-get/", {**answers, "address": "https://dw.example.com/in"}
    )

    assert "Nothing was added." in inside.content.decode()
    assert good.status_code == 302
    (rule,) = _rules(made)
    assert rule.url.startswith("https://dw.example.com/in?postback_id={{postback_id}}&")
    assert rule.triggers == ["*"]


def test_only_an_owner_says_which_host_gets_a_token() -> None:
    made = make.make_tenant()
    marketer = make.make_user(Role.MARKETER, organization=made.organization)
    answers = {
        "name": "BI",
        "app": "",
        "address": "https://bi.example.com/in",
        "credential_token": "t",
        "events_0": ["purchase"],
    }

    refused = sign_in(marketer).post(f"{GALLERY}bi-tool/", answers)
    sign_in(made.owner).post(f"{GALLERY}bi-tool/", answers)

    assert refused.status_code == 403
    assert _partners(made)[0].allowed_hosts == ["bi.example.com"]


def test_analysts_look_at_templates_and_add_none() -> None:
    made = make.make_tenant()
    browser = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    assert browser.get(GALLERY).status_code == 200
    assert browser.get(TIKTOK).status_code == 403
    assert browser.post(TIKTOK, ANSWERS).status_code == 403


def test_there_is_no_page_of_an_unknown_template() -> None:
    assert sign_in(make.make_tenant().owner).get(f"{GALLERY}nothing/").status_code == 404


def test_a_pasted_url_is_shown_side_by_side() -> None:
    page = sign_in(make.make_tenant().owner).post(
        TRANSLATE, {"url": "https://a.example.com/?i={gps_adid}&l={label}", "vendor": "auto"}
    )

    text = page.content.decode()
    assert "Translated from Adjust" in text
    assert "https://a.example.com/?i={{gaid}}&amp;l=" in text
    assert "left out" in text


def test_a_translated_url_begins_a_new_rule() -> None:
    browser = sign_in(make.make_tenant().owner)

    answer = browser.post(
        TRANSLATE,
        {"url": "https://a.example.com/?i={gps_adid}", "vendor": "adjust", "_use": "1"},
        follow=True,
    )

    page = answer.content.decode()
    assert answer.redirect_chain == [(f"{RULES}add/?translated=1", 302)]
    assert "https://a.example.com/?i={{gaid}}</textarea>" in page.replace("\n", "")
    assert "translated" not in browser.get(f"{RULES}add/").content.decode()


def test_each_url_of_a_pasted_list_can_begin_a_new_rule() -> None:
    browser = sign_in(make.make_tenant().owner)
    pasted = "1. https://a.example.com/?i={gps_adid}\n2. https://b.example.com/?p={payout}"

    page = browser.post(TRANSLATE, {"url": pasted, "vendor": ""}).content.decode()
    answer = browser.post(TRANSLATE, {"url": pasted, "vendor": "", "_use": "2"}, follow=True)
    wrong = browser.post(TRANSLATE, {"url": pasted, "vendor": "", "_use": "99"}, follow=True)

    assert "https://b.example.com/?p={{payout||revenue}}" in page
    assert "first of 2 URLs" in page
    assert "https://b.example.com/?p={{payout||revenue}}" in answer.content.decode()
    assert "https://a.example.com/?i={{gaid}}" in wrong.content.decode()


def test_hostile_text_is_shown_as_text() -> None:
    browser = sign_in(make.make_tenant().owner)
    hostile = 'https://a.example.com/?x=</textarea><script>alert(1)</script>{"&y={gps_adid}'

    html = browser.post(TRANSLATE, {"url": hostile, "vendor": ""}).content.decode()
    used = browser.post(TRANSLATE, {"url": hostile, "_use": "1"}, follow=True).content.decode()

    assert "<script>alert(1)" not in html
    assert "<script>alert(1)" not in used


def test_an_analyst_translates_and_makes_no_rule() -> None:
    made = make.make_tenant()
    browser = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    answer = browser.post(TRANSLATE, {"url": "https://a.example.com/?i={gps_adid}", "_use": "1"})

    assert answer.status_code == 200
    assert "Use it in a new rule" not in answer.content.decode()
