"""Run with the reference's settings: `python -m tests.bench.naive.queueing <sink's address>`.

Sets the reference up. Then it reads a count from each line, owes so many postbacks in one
transaction, and answers with the moment of the commit, from which on the cluster may take them.
"""

import sys
import time

import django

django.setup()

from django.db import transaction  # noqa: E402  # after the set-up

from tests.bench import sample  # noqa: E402
from tests.bench.naive.models import Event, Key  # noqa: E402
from tests.bench.naive.owing import owe  # noqa: E402
from tests.bench.naive.setting_up import set_up  # noqa: E402


def _owe(count: int) -> float:
    with transaction.atomic():
        key = Key.objects.get()
        events = [Event(**sample.event(number), key=key) for number in range(count)]
        for event in Event.objects.bulk_create(events):
            owe(event)
        return time.time()  # the commit comes last of all


def _answer(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


set_up(sys.argv[1])
_answer("ready")
for line in sys.stdin:
    _answer(_owe(int(line)))
