"""The reference's addresses: its door, and two that only store."""

from django.urls import path

from tests.bench.naive.views import Events, StoredEvents, StoredInBulk

urlpatterns = [
    path("api/v1/events", Events.as_view()),
    path("stored", StoredEvents.as_view()),
    path("stored-in-bulk", StoredInBulk.as_view()),
]
