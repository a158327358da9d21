"""A third of the scenarios from the ad to the API: through the doors, the queue and the worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps_registry.models import App, AttributionSettings, Partner, TrackingLink
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from tests import make
from tests.api.calling import Program
from tests.attribution.scenario_table import (
    ADDRESSES,
    Scenario,
    hash_of,
    ids_of,
    partner_of,
    scenarios,
    span,
)
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

_AGENTS = {
    "android": "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/X) AppleWebKit/537.36",
    "ios": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15",
}


@dataclass
class _Stage:
    """An organization in which one scenario is played; what came when is kept by its label."""

    scenario: Scenario
    tenant: make.Tenant = field(default_factory=make.make_tenant)
    opened: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(minutes=4))
    partners: dict[str, Partner] = field(default_factory=dict)
    links: dict[str, TrackingLink] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)

    def set_up(self) -> None:
        with tenant(self.tenant.organization.pk):
            App.objects.filter(pk=self.tenant.app.pk).update(platform=self.scenario.platform)
            for name in self.scenario.partners:
                self.partners[name] = make.make_partner(name)
                campaign = make.make_campaign(self._app(name), self.partners[name])
                self.links[name] = make.make_link(campaign)
            self._settle()
        self.report = Program(self.tenant.sdk_key)
        self.read = Program(self.tenant.api_token)

    def _app(self, partner: str) -> App:
        rows = [row for row in self.scenario.touchpoints if partner_of(row) == partner]
        if any(row.get("app") for row in rows):
            return App.objects.create(name="Another game", platform="android")
        return self.tenant.app

    def _settle(self) -> None:
        settings = self.scenario.settings
        if "app" in settings:
            AttributionSettings.objects.create(app=self.tenant.app, **settings["app"])
        for name, own in settings.get("partner", {}).items():
            AttributionSettings.objects.create(partner=self.partners[name], **own)
        for name, own in settings.get("link", {}).items():
            AttributionSettings.objects.create(link=self.links[name], **own)

    def touch(self, row: Mapping[str, Any]) -> None:
        for repetition in range(row.get("times", 1)):
            self._touch(row, self.opened + span(row["at"]) + repetition * timedelta(minutes=1))

    def _touch(self, row: Mapping[str, Any], at: datetime) -> None:
        link = self.links[partner_of(row)]
        program = self.report
        if row.get("app"):
            with tenant(self.tenant.organization.pk):
                program = Program(make.make_sdk_key(link.campaign.app))
        answer = program.post(
            "touchpoints",
            {
                "link": link.token,
                "kind": row.get("kind", "click"),
                "occurred_at": at.isoformat(),
                **ids_of(row),
                **_traits(row, self.scenario.platform),
                **{f"gaid_{kind}": hash_of(row, kind) for kind in ("sha1", "md5") if kind in row},
                **{name: row[name] for name in ("click_id",) if name in row},
            },
        )
        assert answer.status == 202, answer.data
        self.ids.setdefault(str(row["by"]), []).extend(answer.data["ids"])

    def install(self) -> None:
        row = self.scenario.install
        fields: dict[str, object] = {
            "event_name": "install",
            "event_time": self.opened.isoformat(),
            "install_id": row.get("install_id", "device-1"),
            **ids_of(row),
            **_traits(row, self.scenario.platform),
            **{name: row[name] for name in ("click_id", "referrer") if name in row},
        }
        if "begin" in row:
            fields["install_begin_time_server"] = (self.opened + span(row["begin"])).isoformat()
        referrer = str(fields.pop("referrer", ""))
        if referrer.startswith("click of "):
            clicked = self.ids[referrer.removeprefix("click of ")][0]
            referrer = f"postbacks_click={clicked}&utm_source=lumen"
        answer = self.report.post("events", {**fields, "install_referrer": referrer or None})
        assert answer.status == 202, answer.data

    def work(self) -> None:
        with as_role(roles.WORKER):
            while pipeline.work():
                pass

    def label_of(self, touchpoint: str) -> str:
        return next(label for label, ids in self.ids.items() if touchpoint in ids)


def _traits(row: Mapping[str, Any], platform: str) -> dict[str, object]:
    if "address" not in row:
        return {}
    agent = _AGENTS[row.get("os", platform)]
    return {"ip_address": ADDRESSES[row["address"]], "user_agent": agent}


@pytest.mark.parametrize("scenario", scenarios(http=True), ids=lambda scenario: scenario.name)
def test_a_scenario_ends_the_same_through_the_doors(scenario: Scenario) -> None:
    stage = _Stage(scenario)
    stage.set_up()
    for row in scenario.touchpoints:
        if row.get("arrives") != "after":
            stage.touch(row)

    stage.install()
    stage.work()
    for row in scenario.touchpoints:
        if row.get("arrives") == "after":
            stage.touch(row)
    stage.work()

    (install,) = stage.read.get("installs").data["results"]
    credit = install["attribution"]
    earned = stage.label_of(credit["touchpoint"]) if credit["touchpoint"] else "organic"
    assert earned == scenario.winner
    assert credit["type"] == ("organic" if earned == "organic" else scenario.type)
    assert scenario.method in {"", credit["method"]}
    assert install["attribution_version"] == scenario.versions
    if earned != "organic":
        assert credit["partner"] == str(stage.partners[partner_of({"by": earned})].public_id)
    if scenario.http_sees_losers:
        assert {
            stage.label_of(candidate["touchpoint"]): candidate["reason"]
            for candidate in install["candidates"]
            if candidate["reason"] != "won"
        } == scenario.lost
    assert {
        partner_of({"by": stage.label_of(rejection["touchpoint"])}): rejection["reason"]
        for rejection in install["rejections"]
    } == {name: f"{reason}" for name, reason in scenario.rejected.items()}
