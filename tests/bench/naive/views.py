"""The reference's door: one event or a list of them."""

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.bench.naive.models import Event
from tests.bench.naive.owing import owe
from tests.bench.naive.serializers import BulkEventSerializer, EventSerializer


class Events(APIView):
    """This takes events: checked, saved one by one, in one transaction."""

    owes = True

    def post(self, request: Request) -> Response:
        many = isinstance(request.data, list)
        serializer = EventSerializer(data=request.data, many=many)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            saved = serializer.save(key=request.user)
            for event in (saved if many else [saved]) if self.owes else ():
                owe(event)
        return Response({"accepted": len(saved) if many else 1}, status=202)


class StoredEvents(Events):
    """This takes events and owes nothing for them: a serializer and `save()`."""

    owes = False


class StoredInBulk(APIView):
    """This takes events and owes nothing for them: a serializer and `bulk_create`."""

    def post(self, request: Request) -> Response:
        serializer = BulkEventSerializer(data=request.data, many=True)
        serializer.is_valid(raise_exception=True)
        events = [Event(**values, key=request.user) for values in serializer.validated_data]
        Event.objects.bulk_create(events, ignore_conflicts=True)
        return Response({"accepted": len(events)}, status=202)
