"""① Receives requests to forget a device: reads its ids, requests the erasure, answers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.client_address import client_address
from apps_registry.models import SdkKey
from apps_registry.tenancy import tenant
from postbacks.api.authentication import SdkKeyAuthentication
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.problems import InvalidRequest
from postbacks.api.schema import ProblemSchema
from postbacks.api.sdk.refusals import RefusalLoggingView
from postbacks.api.strict import StrictJsonParser
from postbacks.api.throttling import throttle_erasures
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import ErasureMode, ErasureReach, ErasureRequest, RefusalDoor
from postbacks.privacy.requests import DeviceToErase, id_error, request_erasure
from postbacks.privacy.tombstones import ID_KINDS
from postbacks.values.placeholders import why_no_id
from postbacks.values.refusals import not_one_of, quote
from postbacks.web.middleware import own_transactions

_EXAMPLE = "{“install_id”: “…”}"
_EFFECTS = {
    ErasureMode.FORGET: (
        "Later data of the device is refused from now on. A worker erases its stored data, which "
        "takes from seconds to minutes; counts, times and revenue stay."
    ),
    ErasureMode.RESET: (
        "A worker erases the stored data of the device, which takes from seconds to minutes. Its "
        "next open is an install again."
    ),
}


class DeviceSerializer(serializers.Serializer):
    """The device to forget: at least one of its ids."""

    mode = serializers.ChoiceField(
        ErasureMode.choices,
        required=False,
        help_text="forget: for good, later data are refused. reset: for tests, with a server key.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        return {
            **super().get_fields(),
            **{kind: serializers.CharField(required=False) for kind in ID_KINDS},
        }


class ForgettingSerializer(serializers.Serializer):
    """A request to forget a device, and its effect."""

    id = serializers.UUIDField(help_text="The same for each request for the same device.")
    state = serializers.CharField()
    detail = serializers.CharField()
    warnings = serializers.ListField(
        child=serializers.DictField(child=serializers.CharField()),
        required=False,
        help_text="Values that are no IDs, such as null, and were left out.",
    )


@own_transactions
class ForgetDeviceView(RefusalLoggingView):
    """Receives requests to forget a device."""

    door = RefusalDoor.FORGET_DEVICE
    authentication_classes = [SdkKeyAuthentication]
    permission_classes = []
    parser_classes = [StrictJsonParser]
    schema = ProblemSchema()

    @extend_schema(
        summary="Forget a device",
        request=DeviceSerializer,
        responses={202: ForgettingSerializer},
    )
    def post(self, request: Request) -> Response:
        """Answer 202 once later data of the device are refused; a worker erases the rest.

        A server key names the device by any of its ids. An app key is public, so it can forget only
        rows with the `install_id` that it names, and the touchpoints behind them. Repeating a
        request is harmless. `forget-device/{id}` shows a server key the progress.
        """
        reporter = cast(Reporter, request.auth)
        throttle_erasures(reporter, client_address(request))
        ids, mode = _device(request.data, reporter)
        sent = cast(Mapping[str, object], request.data)
        warnings = [
            _fault(f"/{kind}", f"{why} It was left out.")
            for kind, why in _left_out(sent).items()
            if kind not in ids
        ]
        reach = ErasureReach.DEVICE if reporter.is_server else ErasureReach.INSTALL
        with tenant(reporter.organization_id), acting_as(_key_actor(reporter, request)):
            erasure = request_erasure(
                DeviceToErase(
                    organization_id=reporter.organization_id,
                    app_id=reporter.app_id,
                    ids=ids,
                    mode=mode,
                    reach=reach,
                )
            )
        return Response(
            {
                "id": erasure.public_id,
                "state": erasure.state,
                "detail": _EFFECTS[ErasureMode(mode)],
                **({"warnings": warnings} if warnings else {}),
            },
            status=status.HTTP_202_ACCEPTED,
        )


class ProgressSerializer(serializers.ModelSerializer):
    """The progress of the erasure; `counts` are the rows erased so far, by kind."""

    id = serializers.UUIDField(source="public_id")
    asked_at = MillisecondDateTimeField()
    finished_at = MillisecondDateTimeField(
        allow_null=True, help_text="Null until everything is erased."
    )
    counts = serializers.DictField(child=serializers.IntegerField())

    class Meta:
        model = ErasureRequest
        fields = ("id", "mode", "state", "asked_at", "finished_at", "counts")
        read_only_fields = fields


@own_transactions
class ErasureProgressView(APIView):
    """Reports the progress of forgetting a device."""

    authentication_classes = [SdkKeyAuthentication]
    permission_classes = []
    schema = ProblemSchema()

    @extend_schema(
        summary="Follow the forgetting of a device",
        responses={200: ProgressSerializer},
    )
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002  # the address' word
        """Answer the progress of a request of this key's app, to a server key."""
        reporter = cast(Reporter, request.auth)
        if not reporter.is_server:
            raise exceptions.PermissionDenied("An app key can't ask for this; use a server key.")
        with tenant(reporter.organization_id):
            erasure = ErasureRequest.objects.filter(app_id=reporter.app_id, public_id=id).first()
            if erasure is None:
                raise exceptions.NotFound("This key's app has no such request.")
            return Response(ProgressSerializer(erasure).data)


def _device(data: object, reporter: Reporter) -> tuple[dict[str, str], str]:
    """Return the ids and the mode. Raises InvalidRequest (400) or PermissionDenied (403)."""
    if not isinstance(data, Mapping):
        raise InvalidRequest(
            [_fault("", f"{quote(data)} is no device. Send an object such as {_EXAMPLE}.")]
        )
    mode = data.get("mode", ErasureMode.FORGET)
    ids = {kind: data[kind] for kind in ID_KINDS if data.get(kind) is not None}
    left_out = _left_out(ids)
    named = {kind: id_ for kind, id_ in ids.items() if kind not in left_out} or ids
    faults = [*_unknown_members(data), *_invalid_ids(named)]
    if mode not in ErasureMode.values:
        faults.append(_fault("/mode", not_one_of(mode, ErasureMode.values)))
    if not ids and not faults:
        faults.append(_fault("", f"Name the device by one of: {', '.join(ID_KINDS)}."))
    if faults:
        raise InvalidRequest(faults)
    if not reporter.is_server:
        _check_app_key(ids, mode)
    return named, mode


def _left_out(ids: Mapping[str, object]) -> dict[str, str]:
    """Return why some of the values are no ids; the others still name the device."""
    return {
        kind: why for kind, id_ in ids.items() if isinstance(id_, str) and (why := why_no_id(id_))
    }


def _check_app_key(ids: Mapping[str, str], mode: str) -> None:
    if mode == ErasureMode.RESET:
        raise exceptions.PermissionDenied("An app key can't reset devices; use a server key.")
    if set(ids) != {"install_id"}:
        raise exceptions.PermissionDenied(
            "An app key may name a device by “install_id” only; for any other ID use a server key."
        )


def _unknown_members(data: Mapping[str, object]) -> Iterator[dict[str, str]]:
    for name in data.keys() - {*ID_KINDS, "mode"}:
        yield _fault(
            "/" + name.replace("~", "~0").replace("/", "~1"),
            f"This is no ID of a device; send one of: {', '.join(ID_KINDS)}.",
        )


def _invalid_ids(ids: Mapping[str, object]) -> Sequence[dict[str, str]]:
    return [_fault(f"/{kind}", fault) for kind, id_ in ids.items() if (fault := id_error(id_))]


def _fault(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "detail": detail}


def _key_actor(reporter: Reporter, request: Request) -> Actor:
    key = SdkKey.objects.get(pk=reporter.key_id)
    return Actor(ActorKind.SDK_KEY, str(key), Door.API, address=client_address(request))
