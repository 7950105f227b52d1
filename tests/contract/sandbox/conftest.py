"""A running sandbox, and two senders: httpx2 for whole exchanges, bare hyper-h2 where frames matter."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import jwt
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded
from h2.settings import SettingCodes

from demo.sandbox import ProviderSandbox
from demo.sandbox.fcm.oauth import GRANT_TYPE

ADDRESS = "127.0.21.1"
TOPIC = "org.example.phone.voip"
PACKAGE = "org.example.phone"
PATIENCE = 10.0


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all sandboxes: making keys is slow."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
async def sandbox(directory: Path) -> AsyncIterator[ProviderSandbox]:
    sandbox = ProviderSandbox(ADDRESS)
    await sandbox.start(directory)
    yield sandbox
    await sandbox.stop()


def provider_token(sandbox: ProviderSandbox, **changes: Any) -> str:
    """A provider token as Apple wants it, but for ``changes`` (kid, key, algorithm, or any claim)."""
    credentials = sandbox.credentials
    kid = changes.pop("kid", credentials.apns_key_id)
    key = changes.pop("key", credentials.apns_key_file.read_text())
    algorithm = changes.pop("algorithm", "ES256")
    claims = {"iss": credentials.team_id, "iat": int(time.time()), **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def apns_headers(sandbox: ProviderSandbox, **changes: str | None) -> dict[str, str]:
    """The headers of a good VoIP push, but for ``changes`` (None leaves one out, _ stands for -)."""
    headers: dict[str, str | None] = {
        "authorization": f"bearer {provider_token(sandbox)}",
        "apns-topic": TOPIC,
        "apns-push-type": "voip",
        "apns-priority": "10",
        "apns-expiration": str(int(time.time()) + 30),
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    return {name: value for name, value in headers.items() if value is not None}


def tls(sandbox: ProviderSandbox) -> ssl.SSLContext:
    """A context that trusts this sandbox and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(sandbox.credentials.ca_file)
    return context


@dataclass
class ApnsSender:
    """Pushes over httpx2."""

    sandbox: ProviderSandbox
    client: httpx2.AsyncClient

    async def push(self, token: str, payload: Any = None, **changes: str | None) -> httpx2.Response:
        host, port = self.sandbox.apns_address
        return await self.client.post(
            f"https://{host}:{port}/3/device/{token}",
            headers=apns_headers(self.sandbox, **changes),
            json={"nightbell": {"call": "c1"}} if payload is None else payload,
        )


@pytest.fixture
async def apns(sandbox: ProviderSandbox) -> AsyncIterator[ApnsSender]:
    client = httpx2.AsyncClient(
        http1=False, http2=True, verify=tls(sandbox), trust_env=False, timeout=PATIENCE
    )
    async with client:
        yield ApnsSender(sandbox, client)


@dataclass
class FrameSender:
    """One HTTP/2 connection of which every event is seen; ``until`` reads until something has happened."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    h2: H2Connection
    headers: dict[str, str]
    acknowledge: bool = True
    events: list[Event] = field(default_factory=list)
    closed: bool = False
    after_goaway: bytes = b""

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def request(self, token: str, body: bytes | None = b'{"call":"c1"}', **changes: str) -> int:
        """A good push on a new stream, but for ``changes``; with a ``body`` of None it stays open."""
        headers = {**self.headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
        stream_id: int = self.h2.get_next_available_stream_id()
        line = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", f"/3/device/{token}"),
            (":authority", "x"),
        ]
        self.h2.send_headers(stream_id, [*line, *headers.items()])
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=True)
        self.flush()
        return stream_id

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not happened():
                assert not self.closed, f"closed before it happened: {self.events}"
                await self._read()

    async def until_closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.closed:
                await self._read()

    async def answer(self, stream_id: int) -> tuple[int, bytes]:
        """Status and body of a stream that ends."""
        await self.until(lambda: any(e.stream_id == stream_id for e in self.of(StreamEnded)))
        return self.status(stream_id), self.body(stream_id)

    def status(self, stream_id: int) -> int:
        event = next(e for e in self.of(ResponseReceived) if e.stream_id == stream_id)
        return int(dict(event.headers)[b":status"])

    def body(self, stream_id: int) -> bytes:
        return b"".join(e.data for e in self.of(DataReceived) if e.stream_id == stream_id)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def _read(self) -> None:
        try:
            data = await self.reader.read(65536)
        except ConnectionError:
            data = b""
        self.closed = not data
        if self.of(ConnectionTerminated):
            # hyper-h2 takes nothing in after a GOAWAY, though the protocol lets answers follow it.
            self.after_goaway += data
            return
        for event in self.h2.receive_data(data) if data else []:
            self.events.append(event)
            if isinstance(event, DataReceived) and self.acknowledge:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if not self.closed:
            self.flush()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return


Connect = Callable[..., Any]


@pytest.fixture
async def connect(sandbox: ProviderSandbox) -> AsyncIterator[Connect]:
    """Open a FrameSender; ``window`` is its initial stream window in bytes."""
    senders: list[FrameSender] = []

    async def open_one(window: int = 65535, *, acknowledge: bool = True) -> FrameSender:
        context = tls(sandbox)
        context.set_alpn_protocols(["h2"])
        host, port = sandbox.apns_address
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
        h2.local_settings.acknowledge()
        h2.initiate_connection()
        sender = FrameSender(reader, writer, h2, apns_headers(sandbox), acknowledge)
        sender.flush()
        senders.append(sender)
        return sender

    yield open_one
    for sender in senders:
        await sender.close()


@dataclass
class FcmSender:
    """Pushes over aiohttp, with an access token of its own."""

    sandbox: ProviderSandbox
    session: aiohttp.ClientSession
    access_token: str = ""

    def assertion(self, **changes: Any) -> str:
        """A service account's assertion, but for ``changes`` (key, algorithm, or any claim)."""
        credentials = self.sandbox.credentials
        key = changes.pop(
            "key", (credentials.service_account_file.parent / "service-account.key").read_text()
        )
        now = int(time.time())
        claims = {
            "iss": credentials.client_email,
            "aud": f"{self.sandbox.fcm_url}/token",
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "iat": now,
            "exp": now + 3600,
            **changes,
        }
        return jwt.encode(claims, key, algorithm="RS256")

    async def exchange(self, assertion: str, grant_type: str = GRANT_TYPE) -> tuple[int, Any]:
        form = {"grant_type": grant_type, "assertion": assertion}
        async with self.session.post(f"{self.sandbox.fcm_url}/token", data=form) as response:
            return response.status, await response.json()

    async def log_in(self) -> None:
        _, body = await self.exchange(self.assertion())
        self.access_token = body["access_token"]

    def post(self, message: Any, *, project: str = "", **body: Any) -> Any:
        project = project or self.sandbox.credentials.project_id
        return self.session.post(
            f"{self.sandbox.fcm_url}/v1/projects/{project}/messages:send",
            json={"message": message, **body},
            headers={"Authorization": f"Bearer {self.access_token}"},
        )

    async def push(self, token: str, /, **changes: Any) -> tuple[int, Any]:
        """A good data message, but for ``changes``."""
        android = {"priority": "HIGH", "ttl": "30s"}
        message = {"token": token, "data": {"call": "c1"}, "android": android, **changes}
        async with self.post(message) as response:
            return response.status, await response.json()


@pytest.fixture
async def fcm(sandbox: ProviderSandbox) -> AsyncIterator[FcmSender]:
    connector = aiohttp.TCPConnector(ssl=tls(sandbox))
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        sender = FcmSender(sandbox, session)
        await sender.log_in()
        yield sender
