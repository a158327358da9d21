"""The demo's organizations: the one that is lived in, and the empty one beside it."""

from pathlib import Path
from random import Random
from typing import cast

import pytest
from pytest_django import Settings

from apps_registry.models import App, Organization, User
from apps_registry.tenancy import tenant
from postbacks.demo import living
from postbacks.demo import organization as demo
from postbacks.demo.networks import DemoApp
from postbacks.demo.sending.sdk_client import SdkClient
from postbacks.demo.simulation.model import SdkCall
from tests.api.calling import Program

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path  # where the demo keeps its password


def test_the_owner_starts_in_the_full_organization_and_can_switch_to_the_empty_one() -> None:
    made = demo.set_up("http://127.0.0.1:9000")
    demo.set_up("http://127.0.0.1:9000")

    owner = User.objects.get(email="owner@gemharbor.example")
    names = [membership.organization.name for membership in owner.memberships_for_sign_in()]

    assert names == [made.organization.name, demo.EMPTY_NAME]
    with tenant(Organization.objects.get(name=demo.EMPTY_NAME).pk):
        assert not App.objects.exists()


def test_only_the_owner_knows_the_empty_organization() -> None:
    demo.set_up("http://127.0.0.1:9000")

    marketer = User.objects.get(email="marketer@gemharbor.example")

    assert marketer.memberships_for_sign_in().count() == 1


def test_players_of_a_third_organization_play_what_the_api_takes_whole() -> None:
    demo.set_up("http://127.0.0.1:9000")
    keys = [
        living.set_up("http://127.0.0.1:9000", owner_email="owner@gemharbor.example")
        for _ in range(2)  # a second start goes on with the same app
    ]
    server = Program(keys[1])
    sent: list[SdkCall] = []

    class Recorder:
        send = staticmethod(sent.append)

    played = living.AppPlayed(DemoApp.ANDROID, living.BUNDLE_ID, cast("SdkClient", Recorder()))
    for number in range(60):
        played.play(Random(number))  # noqa: S311  # a game
    answer = server.post("events", [dict(call.events[0].fields) for call in sent])

    assert answer.status == 202
    assert (answer.data["accepted"], answer.data["rejected"]) == (60, [])
    assert not answer.data.get("warnings")
    assert {call.events[0].name for call in sent} == {"open", *living._EVENTS}
    assert Program(keys[0]).post("events", {"event_name": "open"}).status == 403
