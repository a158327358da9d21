"""The requests of ad networks and browsers: reports of touches, and clicks on tracking links."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from postbacks.demo.networks import DemoApp
from postbacks.demo.sending.http_client import RefusedError, RetryingClient
from postbacks.demo.simulation.model import LiveVisit, SimulatedTouch, TouchKind
from postbacks.demo.simulation.touches import ORGANIC_REFERRER

TOUCHPOINTS_PATH = "/api/v1/touchpoints"
_PARALLEL_CLIENTS = 4
_MAX_TOUCHES_IN_REPORT = 25
_MESSENGER_AGENT = "WhatsApp/2.24.20 A"
_NETWORK_AGENT = "AdServer/5"

Links = Mapping[tuple[str, DemoApp], str]  # tokens, by the network's name
TouchReport = tuple[SimulatedTouch, ...]


def reports(touches: Sequence[SimulatedTouch]) -> Iterator[TouchReport]:
    """Yield the touches of each request: one of a link, or several touches of one app."""
    queues: dict[DemoApp, list[SimulatedTouch]] = {app: [] for app in DemoApp}
    for touch in touches:
        if touch.by_link:
            yield (touch,)
            continue
        queue = queues[touch.app]
        queue.append(touch)
        if len(queue) == _MAX_TOUCHES_IN_REPORT:
            yield tuple(queue)
            queue.clear()
    yield from (tuple(queue) for queue in queues.values() if queue)


class AdNetworkClient:
    """Reports touches of the demo's tracking links, with the apps' SDK keys."""

    def __init__(
        self, new_client: Callable[[], RetryingClient], links: Links, keys: Mapping[DemoApp, str]
    ) -> None:
        self._new_client = new_client
        self._links = links
        self._keys = keys

    def report(
        self, touches: Sequence[SimulatedTouch], *, progress: Callable[[int], object]
    ) -> None:
        """Send touches, several reports in parallel. Raises RefusedError if one is refused."""
        pending = list(reports(touches))
        shares = [pending[start::_PARALLEL_CLIENTS] for start in range(_PARALLEL_CLIENTS)]

        def send(share: Sequence[TouchReport]) -> None:
            with self._new_client() as client:
                for report in share:
                    self._send(client, report)
                    progress(len(report))

        with ThreadPoolExecutor(_PARALLEL_CLIENTS) as pool:
            list(pool.map(send, shares))

    def open_link(self, client: RetryingClient, visit: LiveVisit) -> str:
        """Open a visit's link as a browser does; return the referrer that Play would pass on.

        A visit without a click opens nothing. Raises RefusedError if the link does not redirect.
        """
        click = visit.click
        if click is None:
            return ORGANIC_REFERRER
        link = f"/c/{self._links[click.network.name, visit.app]}"
        parameters = {"click_id": click.click_id, **click.ids}
        if visit.preview_id:
            preview = urlencode({**parameters, "click_id": visit.preview_id})
            client.request("GET", f"{link}?{preview}", headers={"User-Agent": _MESSENGER_AGENT})
            client.request("HEAD", f"{link}?{preview}", headers={"User-Agent": click.user_agent})
        response = client.request(
            "GET", f"{link}?{urlencode(parameters)}", headers={"User-Agent": click.user_agent}
        )
        if response.status != HTTPStatus.FOUND:
            raise RefusedError(response.error_text)
        store_query = parse_qs(urlsplit(response.headers["Location"]).query)
        return store_query.get("referrer", [""])[0]

    def _send(self, client: RetryingClient, report: TouchReport) -> None:
        headers = {"User-Agent": _NETWORK_AGENT}
        if report[0].by_link:
            response = client.request("GET", self._link_path(report[0]), headers=headers)
        else:
            headers["Authorization"] = f"Bearer {self._keys[report[0].app]}"
            headers["Content-Type"] = "application/json"
            body = {"touchpoints": [self._fields(touch) for touch in report]}
            response = client.request(
                "POST", TOUCHPOINTS_PATH, headers=headers, body=json.dumps(body).encode()
            )
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise RefusedError(response.error_text)

    def _link_path(self, touch: SimulatedTouch) -> str:
        prefix = "c" if touch.kind is TouchKind.CLICK else "i"
        parameters = {
            "s2s": "1",
            "click_id": touch.click_id,
            "site_id": touch.site_id,
            "click_time": int(touch.at.timestamp()),
            "ip": touch.ip_address,
            "ua": touch.user_agent,
            **touch.ids,
        }
        token = self._links[touch.network.name, touch.app]
        return f"/{prefix}/{token}?{urlencode(parameters)}"

    def _fields(self, touch: SimulatedTouch) -> dict[str, object]:
        return {
            "link": self._links[touch.network.name, touch.app],
            "kind": touch.kind.value,
            "occurred_at": touch.at.isoformat(timespec="milliseconds"),
            "click_id": touch.click_id,
            "site_id": touch.site_id,
            "ip_address": touch.ip_address,
            "user_agent": touch.user_agent,
            **touch.ids,
        }
