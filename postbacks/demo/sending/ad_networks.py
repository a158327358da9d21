"""What ad networks and browsers send: reports of touches, and taps that follow a redirect."""

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
_AT_ONCE = 4
_MOST_IN_REPORT = 25
_MESSENGER = "WhatsApp/2.24.20 A"
_NETWORK_SERVER = "AdServer/5"

Links = Mapping[tuple[str, DemoApp], str]  # tokens, by the network's name
TouchReport = tuple[SimulatedTouch, ...]


def reports(touches: Sequence[SimulatedTouch]) -> Iterator[TouchReport]:
    """Yield what is sent at once: single links, and reports of several touches of one app."""
    waiting: dict[DemoApp, list[SimulatedTouch]] = {app: [] for app in DemoApp}
    for touch in touches:
        if touch.by_link:
            yield (touch,)
            continue
        queue = waiting[touch.app]
        queue.append(touch)
        if len(queue) == _MOST_IN_REPORT:
            yield tuple(queue)
            queue.clear()
    yield from (tuple(queue) for queue in waiting.values() if queue)


class AdNetworkClient:
    """This sends touches and taps to the demo's tracking links, with the apps' SDK keys."""

    def __init__(
        self, new_client: Callable[[], RetryingClient], links: Links, keys: Mapping[DemoApp, str]
    ) -> None:
        self._new_client = new_client
        self._links = links
        self._keys = keys

    def report(
        self, touches: Sequence[SimulatedTouch], *, progress: Callable[[int], object]
    ) -> None:
        """Send touches, a few reports at once. Raises RefusedError if one is not taken."""
        waiting = list(reports(touches))
        lanes = [waiting[start::_AT_ONCE] for start in range(_AT_ONCE)]

        def send(lane: Sequence[TouchReport]) -> None:
            with self._new_client() as client:
                for report in lane:
                    self._send(client, report)
                    progress(len(report))

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(send, lanes))

    def tap(self, client: RetryingClient, visit: LiveVisit) -> str:
        """Follow a visitor's link as a browser does; return the referrer that Play would hand on.

        Who comes by themselves taps nothing, and a messenger looks at the link before. Raises
        RefusedError if it does not lead to the store.
        """
        click = visit.click
        if click is None:
            return ORGANIC_REFERRER
        link = f"/c/{self._links[click.network.name, visit.app]}"
        asked = {"click_id": click.click_id, **click.ids}
        if visit.preview_id:
            preview = urlencode({**asked, "click_id": visit.preview_id})
            client.ask("GET", f"{link}?{preview}", headers={"User-Agent": _MESSENGER})
            client.ask("HEAD", f"{link}?{preview}", headers={"User-Agent": click.user_agent})
        answer = client.ask(
            "GET", f"{link}?{urlencode(asked)}", headers={"User-Agent": click.user_agent}
        )
        if answer.status != HTTPStatus.FOUND:
            raise RefusedError(answer.complaint)
        store = parse_qs(urlsplit(answer.headers["Location"]).query)
        return store.get("referrer", [""])[0]

    def _send(self, client: RetryingClient, report: TouchReport) -> None:
        headers = {"User-Agent": _NETWORK_SERVER}
        if report[0].by_link:
            answer = client.ask("GET", self._link_of(report[0]), headers=headers)
        else:
            headers["Authorization"] = f"Bearer {self._keys[report[0].app]}"
            headers["Content-Type"] = "application/json"
            body = {"touchpoints": [self._fields(touch) for touch in report]}
            answer = client.ask(
                "POST", TOUCHPOINTS_PATH, headers=headers, body=json.dumps(body).encode()
            )
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise RefusedError(answer.complaint)

    def _link_of(self, touch: SimulatedTouch) -> str:
        path = "c" if touch.kind is TouchKind.CLICK else "i"
        asked = {
            "s2s": "1",
            "click_id": touch.click_id,
            "site_id": touch.site_id,
            "click_time": int(touch.at.timestamp()),
            "ip": touch.ip_address,
            "ua": touch.user_agent,
            **touch.ids,
        }
        return f"/{path}/{self._links[touch.network.name, touch.app]}?{urlencode(asked)}"

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
