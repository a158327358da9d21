"""schemathesis attacks every operation of the OpenAPI document, with a real key and a real token.

The runs are the same each time (`derandomize`), so that a finding can be gone after.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.internal.conjecture.engine import ConjectureRunner
from pytest_django import DjangoDbBlocker
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from postbacks.infrastructure.database import roles
from postbacks.models import WorkerHeartbeat
from postbacks.models.heartbeats import CLUSTER
from postbacks.rulebook import test_send
from tests.database import as_role, made_once
from tests.isolation.story import Story, live_through

pytestmark = pytest.mark.django_db(transaction=True)

_DOCUMENT = SchemaGenerator().get_schema(request=None, public=True)
OPERATIONS = sorted(
    f"{method.upper()} {path}" for path, methods in _DOCUMENT["paths"].items() for method in methods
)
_REPORTING = {
    "POST /api/v1/events",
    "POST /api/v1/touchpoints",
    "POST /api/v1/forget-device",
    "GET /api/v1/forget-device/{id}",
}
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_bounded = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _no_mutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each case be a new one: half of Hypothesis's mutations were the same request again."""
    monkeypatch.setattr(ConjectureRunner, "generate_mutations_from", lambda *_: None)


@pytest.fixture
def story(transactional_db: None) -> Iterator[Story]:
    logging.disable(logging.ERROR)  # refusals are what we want here
    yield made_once(_live_through)
    logging.disable(logging.NOTSET)


def _live_through() -> Story:
    return live_through("Gem Harbor")


@pytest.fixture(autouse=True)
def _a_worker_lives(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a test send be waited for: a worker is there, and no thread waits for its answer."""
    monkeypatch.setattr(test_send, "_waiters", lambda: BoundedSemaphore(0))
    with as_role(roles.WORKER):
        WorkerHeartbeat.beat(CLUSTER)


@pytest.fixture(scope="module")
def schema(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Any:
    with django_db_blocker.unblock():  # a request looks after the connection that is open
        return schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())


@pytest.mark.parametrize("label", OPERATIONS)
def test_nothing_that_is_sent_breaks_an_operation(label: str, schema: Any, story: Story) -> None:
    operation = schema.find_operation_by_label(label)
    key = story.tenant.sdk_key if label in _REPORTING else story.tenant.api_token
    ids = _ids(label, story)
    sent: Counter[str] = Counter()

    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @_bounded
    @given(case=right | wrong)
    def attack(case: Any) -> None:
        if ids and sent.total() % 2 == 0:  # what exists breaks in more ways than what does not
            case.path_parameters = {name: str(ids[0]) for name in case.path_parameters}
        parts = (case.path_parameters, case.query, case.headers, case.cookies, case.body)
        request = repr((*parts, case.media_type))
        sent[request] += 1
        if sent[request] <= 2:  # once more after the first has changed something, and no oftener
            response = case.call(headers={"Authorization": f"Bearer {key}"})
            case.validate_response(response, checks=_CHECKS)

    attack()

    assert sent.total() >= 20


def _ids(label: str, story: Story) -> list[Any]:
    """Return ids of the resource that an operation is about."""
    parts = label.split("/api/v1/")[1].split("/")
    for model, ids in story.uuids.items():
        if parts[0] == str(model._meta.verbose_name_plural).replace(" ", "-").lower():
            return ids
    return []
