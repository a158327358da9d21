"""The queue of the cluster, which django-q2 keeps in PostgreSQL or Redis."""

from django_q.brokers import get_broker
from django_q.tasks import async_task

_PUMP_TIMEOUT = 24 * 3600


def enqueue(task: str, *arguments: int, cluster: str) -> None:
    """Have a worker of the cluster run a task of `worker.tasks`.

    A pump may outlast its time while it can't hand on: its heartbeat, and not the clock, tells
    that it hangs.
    """
    timeout = {"timeout": _PUMP_TIMEOUT} if task == "run_pump" else {}
    async_task(f"postbacks.worker.tasks.{task}", *arguments, cluster=cluster, **timeout)


def drop_waiting_tasks(*, cluster: str) -> None:
    """Empty a cluster's queue of tasks: when it starts again, all are enqueued again."""
    get_broker(cluster).purge_queue()
