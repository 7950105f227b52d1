"""The whole sandbox in one object: all providers, their phones, and the control API."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.sandbox.apns.provider_token import ProviderTokens
from demo.sandbox.apns.reasons import STATUS_OF_REASON
from demo.sandbox.apns.server import ApnsServer
from demo.sandbox.apns.service import ApnsService
from demo.sandbox.control import ControlServer
from demo.sandbox.credentials import (
    Credentials,
    another_project,
    another_team,
    load_or_make,
    write_service_account,
)
from demo.sandbox.devices import PROVIDERS, Deliveries, Devices
from demo.sandbox.errors import NotStartedError, SandboxError, UnknownProviderError
from demo.sandbox.fcm.errors import FCM_ERRORS, OAUTH_ERRORS
from demo.sandbox.fcm.oauth import AccessTokens
from demo.sandbox.fcm.server import FcmServer
from demo.sandbox.orders import SEND, TOKEN, Order, OrderBook, new_order_id
from demo.sandbox.pushes import Push, PushLog
from demo.sandbox.webpush.errors import PUSH_ERRORS
from demo.sandbox.webpush.server import WebPushServer
from demo.sandbox.webpush.subscriptions import Subscriptions


class ProviderSandbox:
    """APNs, FCM and a browser vendor's push service on loopback. Device tokens, orders and pushes outlive a ``stop()`` and
    ``start()``.

    ``address``: the loopback address of all its servers. ``token_update_interval``: see ProviderTokens.
    ``access_token_life``: seconds for which FCM's OAuth tokens hold. ``apns_dates``: APNs' answers have a Date, which Apple
    documents nowhere.
    """

    def __init__(
        self,
        address: str = "127.0.0.1",
        *,
        clock: Callable[[], float] = time.time,
        token_update_interval: float = 0.0,
        access_token_life: float = 3599.0,
        apns_dates: bool = False,
    ) -> None:
        if not ipaddress.ip_address(address).is_loopback:
            raise SandboxError(
                f"{address} is no loopback address: the sandbox has no logins, give it 127.0.0.1"
            )
        self.address = address
        self.log = PushLog()
        self.orders = OrderBook(
            {
                ("apns", SEND): STATUS_OF_REASON,
                ("fcm", SEND): FCM_ERRORS,
                ("fcm", TOKEN): OAUTH_ERRORS,
                ("webpush", SEND): PUSH_ERRORS,
            }
        )
        self.devices = Devices(clock)
        self.subscriptions = Subscriptions()
        self._clock = clock
        self._token_update_interval = token_update_interval
        self._access_token_life = access_token_life
        self._apns_dates = apns_dates
        self._credentials: Credentials | None = None
        self._servers: dict[str, ApnsServer | FcmServer | WebPushServer] = {}
        self._control = ControlServer(self)
        self._ports: dict[str, int] = {}
        self._up: set[str] = set()

    async def start(
        self,
        directory: Path | str,
        apns_port: int = 0,
        fcm_port: int = 0,
        control_port: int = 0,
        webpush_port: int = 0,
    ) -> None:
        """Listen, and write what a sender needs into ``directory``; a port of 0 is chosen by the system.

        Files: ca.pem, apns-key.p8, service-account.json and sandbox.json (addresses and ids).
        """
        folder = Path(directory)
        self._credentials = load_or_make(folder, self.address)
        (folder / "sandbox.json").unlink(missing_ok=True)
        self._make_servers(self._credentials)
        self._ports = {"apns": apns_port, "fcm": fcm_port, "webpush": webpush_port}
        try:
            for provider in PROVIDERS:
                await self.bring_up(provider)
            self._ports["control"] = await self._control.start(self.address, control_port)
        except OSError:
            await self.stop()
            raise
        self.access_tokens.token_uri = f"{self.fcm_url}/token"
        write_service_account(self._credentials, self.access_tokens.token_uri)
        # Whoever waits for this file never sees half of it, nor the addresses of an earlier run.
        part = folder / "sandbox.json.part"
        part.write_text(json.dumps(self.settings(), indent=2), "utf-8")
        part.replace(folder / "sandbox.json")

    async def stop(self) -> None:
        """Hang up on everybody and stop listening."""
        self.devices.close()
        await self._control.stop()
        for provider in PROVIDERS:
            if provider in self._up:
                await self.take_down(provider)

    async def take_down(self, provider: str) -> None:
        """Make one provider unreachable: connections closed, new ones refused."""
        if provider not in PROVIDERS:
            raise UnknownProviderError(provider)
        self._up.discard(provider)
        if provider in self._servers:
            await self._servers[provider].stop()

    async def bring_up(self, provider: str) -> None:
        """Make a provider reachable, on the port it had."""
        if provider not in PROVIDERS:
            raise UnknownProviderError(provider)
        if provider in self._up:
            return
        if provider not in self._servers:
            raise NotStartedError
        self._ports[provider] = await self._servers[provider].start(self.address, self._ports[provider])
        self._up.add(provider)

    @property
    def apns_address(self) -> tuple[str, int]:
        """Host and port of the APNs server."""
        return self.address, self._port("apns")

    @property
    def fcm_url(self) -> str:
        """Base URL of the FCM server, without a slash at its end."""
        return f"https://{self.address}:{self._port('fcm')}"

    @property
    def webpush_url(self) -> str:
        """Origin of the browsers' push service: what their endpoints begin with."""
        return f"https://{self.address}:{self._port('webpush')}"

    @property
    def control_url(self) -> str:
        """Base URL of the control API, without a slash at its end."""
        return f"http://{self.address}:{self._port('control')}"

    @property
    def credentials(self) -> Credentials:
        """Keys, ids and file paths; raises NotStartedError."""
        if self._credentials is None:
            raise NotStartedError
        return self._credentials

    @property
    def up(self) -> frozenset[str]:
        """The providers that are reachable."""
        return frozenset(self._up)

    @property
    def pushes(self) -> list[Push]:
        """What was received, oldest first: the live list (clear() it to start anew)."""
        return self.log.pushes

    async def wait_for_push(self, wanted: Callable[[Push], bool], within: float = 10.0) -> Push:
        """The first push, past or future, that ``wanted`` holds for; TimeoutError after ``within`` seconds."""
        return await self.log.wait(wanted, within)

    def install(self, provider: str, topic: str) -> str:
        """Install an app (APNs topic, Android package, or a page's VAPID public key) on a new phone: its device token.

        A browser's token is the compact JSON of its PushSubscription.
        """
        subscription = self.subscriptions.make(self.webpush_url) if provider == "webpush" else ""
        return self.devices.install(provider, topic, subscription)

    def uninstall(self, token: str) -> None:
        """Remove the app: its token is dead from now on. Raises UnknownTokenError."""
        self.devices.uninstall(token)

    def add_team(self, *bundles: str) -> tuple[Path, str, str]:
        """Another team of Apple's, to which these apps belong: key file, key id and team id."""
        folder = self.credentials.ca_file.parent
        path, key_id, team_id, key = another_team(folder)
        self.provider_tokens.add_team(team_id, key_id, key, *bundles)
        return path, key_id, team_id

    def add_project(self) -> tuple[Path, str]:
        """Another Firebase project: its service account file, and its id."""
        path, project, email, key = another_project(self.credentials, self.credentials.ca_file.parent)
        self.access_tokens.add_account(project, email, key)
        return path, project

    def order(self, provider: str, **fields: Any) -> Order:
        """Order an error (``reason``), a ``fault`` or a delay; the other fields are those of Order."""
        return self.orders.add(Order(id=new_order_id(), provider=provider, **fields))

    def cancel(self, order: Order | str) -> bool:
        """Withdraw one order; False when it was used up already."""
        return self.orders.cancel(order if isinstance(order, str) else order.id)

    def clear_orders(self, provider: str = "") -> None:
        """Withdraw the orders of one provider, or all."""
        self.orders.clear(provider)

    def deliveries(self, token: str) -> Deliveries:
        """The pushes reaching that phone: an async iterator, listening from now on. Raises UnknownTokenError."""
        return self.devices.deliveries(token)

    def settings(self) -> dict[str, Any]:
        """What sandbox.json says."""
        credentials = self.credentials
        host, port = self.apns_address
        return {
            "apns": {
                "server": host,
                "port": port,
                "key_id": credentials.apns_key_id,
                "team_id": credentials.team_id,
                "key_file": str(credentials.apns_key_file.resolve()),
            },
            "fcm": {
                "base_url": self.fcm_url,
                "project_id": credentials.project_id,
                "service_account_file": str(credentials.service_account_file.resolve()),
            },
            "webpush": {"url": self.webpush_url},
            "ca_file": str(credentials.ca_file.resolve()),
            "control_url": self.control_url,
        }

    def status(self) -> dict[str, Any]:
        """Addresses, which providers are up, and how much has come."""
        return {
            "status": "ok",
            "up": sorted(self._up),
            "pushes": len(self.pushes),
            "orders": len(list(self.orders)),
            **self.settings(),
        }

    def _port(self, name: str) -> int:
        if not self._ports.get(name):
            raise NotStartedError
        return self._ports[name]

    def _make_servers(self, credentials: Credentials) -> None:
        self.provider_tokens = tokens = ProviderTokens(
            credentials.apns_public_key,
            credentials.apns_key_id,
            credentials.team_id,
            self._clock,
            self._token_update_interval,
        )
        service = ApnsService(
            tokens, self.devices, self.orders, self.log, self._clock, dated=self._apns_dates
        )
        access_tokens = AccessTokens(
            credentials.service_account_key,
            credentials.client_email,
            credentials.project_id,
            self._clock,
            self._access_token_life,
        )
        self.access_tokens = access_tokens
        self._servers = {
            "apns": ApnsServer(service, credentials, self._clock),
            "fcm": FcmServer(credentials, access_tokens, self.devices, self.orders, self.log, self._clock),
            "webpush": WebPushServer(
                credentials, self.subscriptions, self.devices, self.orders, self.log, self._clock
            ),
        }
