"""The reference's door: one event or a list of them."""

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.bench.naive.owing import owe
from tests.bench.naive.serializers import EventSerializer


class Events(APIView):
    """This takes events: checked, saved one by one, in one transaction."""

    def post(self, request: Request) -> Response:
        many = isinstance(request.data, list)
        serializer = EventSerializer(data=request.data, many=many)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            saved = serializer.save(key=request.user)
            for event in saved if many else [saved]:
                owe(event)
        return Response({"accepted": len(saved) if many else 1}, status=202)
