"""Which rules want an event, and the task that sends each postback."""

from django_q.tasks import async_task

from tests.bench.naive.models import Event, Postback, Rule

_MACROS = ("event_id", "event_name", "install_id", "idfa", "ip_address", "revenue", "currency")


def owe(event: Event) -> None:
    """Write down a postback for each rule that wants the event, and have it sent."""
    for rule in Rule.objects.filter(active=True, trigger__in=[event.event_name, "*"]):
        postback = Postback.objects.create(event=event, rule=rule, url=_filled(rule.url, event))
        async_task("tests.bench.naive.tasks.send", postback.pk)


def _filled(url: str, event: Event) -> str:
    for name in _MACROS:
        url = url.replace("{{" + name + "}}", str(getattr(event, name)))
    return url
