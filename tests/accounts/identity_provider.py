"""A stand-in identity provider: OpenID Connect's discovery, sign-in, token and user info.

As many do, it leads to another host to ask for a password, and from there back.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode


def settings_of(address: str) -> dict[str, object]:
    """Return what SOCIALACCOUNT_PROVIDERS is where the provider of this address is set."""
    app = {
        "provider_id": "sso",
        "name": "Example SSO",
        "client_id": "postbacks",
        "secret": "a-secret",
        "settings": {"server_url": address},
    }
    return {"openid_connect": {"APPS": [app]}}


@contextmanager
def identity_provider(claims: Mapping[str, object]) -> Iterator[str]:
    """Serve a provider that says this of whoever signs in; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            home = f"http://127.0.0.1:{server.server_port}"
            path, _, query = self.path.partition("?")
            query_parameters = {name: values[0] for name, values in parse_qs(query).items()}
            if path == "/authorize":
                self._lead(f"http://localhost:{server.server_port}/sign-in?{query}")
                return
            if path == "/sign-in":
                answer = {"code": "a-code", "state": query_parameters["state"]}
                self._lead(f"{query_parameters['redirect_uri']}?{urlencode(answer)}")
                return
            documents = {
                "/.well-known/openid-configuration": {
                    "issuer": home,
                    "authorization_endpoint": f"{home}/authorize",
                    "token_endpoint": f"{home}/token",
                    "userinfo_endpoint": f"{home}/userinfo",
                    "jwks_uri": f"{home}/keys",
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                },
                "/userinfo": claims,
            }
            self._answer(documents[self.path])

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"access_token": "a-token", "token_type": "Bearer"})

        def _lead(self, address: str) -> None:
            self.send_response(302)
            self.send_header("Location", address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # theirs
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
