"""The provider sandbox as another process sees it: its control API."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from demo.sandbox import Push, SandboxError


class SandboxClient:
    """A sandbox that runs elsewhere. Every method is one short request on loopback and raises SandboxError."""

    def __init__(self, control_url: str) -> None:
        self.control_url = control_url

    def install(self, provider: str, topic: str) -> str:
        """Install an app (APNs topic or Android package) on a new phone: its device token."""
        return str(self._ask("POST", "/install", {"provider": provider, "topic": topic})["token"])

    def uninstall(self, token: str) -> None:
        """Remove the app: its token is dead from now on."""
        self._ask("POST", "/uninstall", {"token": token})

    def order(self, provider: str, **fields: Any) -> str:
        """Order an error (``reason``), a ``fault`` or a delay; the fields are those of Order. Returns its id."""
        return str(self._ask("POST", "/orders", {"provider": provider, **fields})["id"])

    def clear_orders(self, provider: str = "") -> None:
        """Withdraw the orders of one provider, or all."""
        self._ask("DELETE", f"/orders?{urlencode({'provider': provider})}")

    def take_down(self, provider: str) -> None:
        """Make a provider unreachable: connections closed, new ones refused."""
        self._ask("POST", f"/providers/{provider}", {"up": False})

    def bring_up(self, provider: str) -> None:
        """Make a provider reachable again, on the port it had."""
        self._ask("POST", f"/providers/{provider}", {"up": True})

    def pushes(self, token: str = "", since: int = 0) -> list[Push]:
        """What was received, oldest first: for one token or all, with a number above ``since``."""
        query = urlencode({"token": token, "since": since, "limit": 1_000_000})
        return [Push(**raw) for raw in self._ask("GET", f"/pushes?{query}")["pushes"]]

    def status(self) -> dict[str, Any]:
        """Addresses, which providers are up, and how much has come."""
        return self._ask("GET", "/health")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        address = urlsplit(self.control_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SandboxError(f"the sandbox at {self.control_url} does not answer: {error}") from None
        finally:
            connection.close()
        if response.status >= 400:
            raise SandboxError(str(answer.get("error", {}).get("message", answer)))
        return answer
