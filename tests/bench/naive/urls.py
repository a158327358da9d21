"""The reference's only address."""

from django.urls import path

from tests.bench.naive.views import Events

urlpatterns = [path("api/v1/events", Events.as_view())]
