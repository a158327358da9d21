"""What the marketers of Gem Harbor tell others of its players, whoever brought them.

The path's first segment chooses how the stand-in ad network takes it (see moods). The waits before
another try are short, so that a day's refusals are over within seconds.
"""

from postbacks.demo.networks import DemoApp
from postbacks.demo.rule import DemoRule
from postbacks.values.rule_choices import BodyType, Frequency, MissingValues

GAME_RULES: tuple[DemoRule, ...] = (
    DemoRule(
        name="Install to Lumen Ads",
        triggers=("install",),
        path=(
            "/moody/install?advertising_id={{advertising_id}}&ip={{ip_address}}"
            "&app={{bundle_id}}&campaign={{campaign_id}}&event={{event_name}}"
            "&installed_at={{acquired_at_ms}}"
        ),
    ),
    DemoRule(
        name="Purchase to Lumen Ads",
        triggers=("purchase",),
        method="POST",
        path="/limited/purchase",
        headers={"Authorization": "Bearer {{credential.api_key}}"},
        body_type=BodyType.JSON,
        body=(
            '{"app": "{{bundle_id}}", "device": "{{advertising_id}}", '
            '"revenue": {{revenue}}, "currency": "{{currency}}", '
            '"revenue_usd": {{revenue_usd_gross}}, '
            '"product": "{{product_id}}", "transaction_id": "{{transaction_id}}"}'
        ),
    ),
    DemoRule(
        name="Welcome mail after the first registration",
        triggers=("registration",),
        frequency=Frequency.FIRST,
        method="POST",
        path="/slow/welcome",
        body_type=BodyType.FORM,
        body=(
            "user={{customer_user_id}}&nickname={{params.nickname}}"
            "&language={{language}}&country={{country|lower}}"
        ),
    ),
    DemoRule(
        name="Progress of Android players",
        app=DemoApp.ANDROID,
        triggers=("tutorial_complete", "level_up"),
        path="/flaky/progress?gaid={{gaid}}&event={{event_name}}&level={{params.level}}",
        missing_values=MissingValues.DROP,
    ),
    DemoRule(
        name="Installs and purchases with an IDFA",
        app=DemoApp.IOS,
        triggers=("install", "purchase"),
        path="/flaky/conversion?idfa={{idfa!}}&event={{event_name}}&revenue={{revenue}}",
        missing_values=MissingValues.DROP,
    ),
    DemoRule(
        name="Every event to the data warehouse",
        triggers=("*",),
        method="POST",
        path="/ok/events",
        sign=True,
        body_type=BodyType.JSON,
        body=(
            '{"id": "{{postback_id}}", "event_id": "{{event_id}}", "name": "{{event_name}}", '
            '"at": {{time_in_ms}}, "platform": "{{platform}}", "country": "{{country}}", '
            '"revenue": {{revenue}}, "level": {{params.level}}}'
        ),
    ),
    DemoRule(
        name="Keen players in Europe",
        triggers=("level_up",),
        path="/ok/keen?install={{install_id}}&level={{params.level}}&country={{country}}",
        countries=("DE", "FR", "GB"),
        least_level=3,
    ),
    DemoRule(
        name="Opens on iOS for re-engagement",
        app=DemoApp.IOS,
        triggers=("open",),
        path="/slow/open?device={{idfa||idfv}}&os={{os_version}}&at={{time_in_ms}}",
    ),
    DemoRule(
        name="New payers to the affiliate",
        triggers=("purchase",),
        frequency=Frequency.FIRST,
        method="POST",
        path="/picky/payer?transaction={{transaction_id}}",
        body_type=BodyType.JSON,
        body='{"app": "{{bundle_id}}", "revenue": {{revenue}}, "currency": "{{currency}}"}',
    ),
)
