"""How far the work has come that goes over the logs."""

from django.db import models


class Tidying(models.Model):
    """One kind of such work: what was received until `through` is done. Of no organization.

    Work that goes row by row has done those up to `last_id`.
    """

    name = models.CharField(max_length=32, primary_key=True)
    through = models.DateTimeField()
    last_id = models.BigIntegerField(default=0)

    class Meta:
        db_table = "tidying"

    def __str__(self) -> str:
        return f"{self.name} through {self.through}"
