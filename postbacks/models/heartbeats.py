"""Signs of life, by which the supervisor and `/readyz` know that work goes on."""

from django.db import models


class WorkerHeartbeat(models.Model):
    """A sign of life of one part of the cluster: `cluster` itself or `pump:n`. Not a tenant's."""

    name = models.CharField(max_length=64, primary_key=True)
    beat_at = models.DateTimeField()
    stop_requested = models.BooleanField(default=False)

    class Meta:
        db_table = "worker_heartbeat"

    def __str__(self) -> str:
        return self.name
