"""The reference's tables, key and rule."""

from django.core.management import call_command

from tests.bench import sample
from tests.bench.naive.models import Event, Key, Rule
from tests.bench.naive.owing import owe


def set_up(sink_url: str) -> None:
    """Make them, and owe a few postbacks, with which a cluster shows that it works."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    key = Key.objects.create(secret=sample.REFERENCE_KEY, app="Gem Harbor")
    Rule.objects.create(trigger="purchase", url=sink_url + sample.PATH)
    for number in range(sample.FIRST_ONES):
        owe(Event.objects.create(**sample.event(number), key=key))
