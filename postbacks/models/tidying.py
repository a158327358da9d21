"""How far the work has come that goes over the logs hour by hour."""

from django.db import models


class Tidying(models.Model):
    """One kind of such work: everything received before `through` is done. Of no organization."""

    name = models.CharField(max_length=32, primary_key=True)
    through = models.DateTimeField()

    class Meta:
        db_table = "tidying"

    def __str__(self) -> str:
        return f"{self.name} through {self.through}"
