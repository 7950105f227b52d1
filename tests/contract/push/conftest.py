"""Our providers against the sandbox: the same protocol as Apple's and Google's, faults included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pytest

from control.domain.push import PushNotice, PushToken
from control.push.apns.provider import ApnsProvider
from control.push.apns.settings import ApnsKey, ApnsSettings
from control.push.fcm.provider import FcmProvider
from control.push.fcm.settings import FcmAccount, FcmSettings
from control.push.webpush import vapid
from control.push.webpush.provider import WebPushProvider
from control.push.webpush.settings import WebPushSettings
from demo.sandbox import ProviderSandbox

ADDRESS = "127.0.77.1"
TOPIC = "org.example.phone.voip"
PROJECT_NUMBER = "123456789012"


class Clock:
    """Real time, shifted at will."""

    offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


@dataclass
class Rig:
    """A sandbox, the settings that lead to it, and phones."""

    sandbox: ProviderSandbox
    clock: Clock = field(default_factory=Clock)

    @property
    def apns_settings(self) -> ApnsSettings:
        credentials, (host, port) = self.sandbox.credentials, self.sandbox.apns_address
        key = ApnsKey(credentials.apns_key_file, credentials.apns_key_id, credentials.team_id)
        return ApnsSettings((key,), host, port, ca_file=credentials.ca_file)

    @property
    def fcm_settings(self) -> FcmSettings:
        credentials = self.sandbox.credentials
        account = FcmAccount(credentials.service_account_file)
        return FcmSettings((account,), self.sandbox.fcm_url, credentials.ca_file)

    @cached_property
    def vapid_key_file(self) -> Path:
        path = self.sandbox.credentials.ca_file.parent / "vapid.pem"
        path.write_text(vapid.new_key())
        return path

    @property
    def webpush_settings(self) -> WebPushSettings:
        return WebPushSettings(
            "mailto:ops@example.org",
            self.vapid_key_file,
            allow_private=("127.0.77.0/24",),
            ca_file=self.sandbox.credentials.ca_file,
        )

    def phone(self, provider: str) -> PushToken:
        app = TOPIC if provider == "apns" else PROJECT_NUMBER
        return PushToken(provider, app, "production", self.sandbox.install(provider, TOPIC))

    def browser(self) -> PushToken:
        key = vapid.public_key(self.vapid_key_file)
        return PushToken("webpush", key, "production", self.sandbox.install("webpush", key))

    def notice(self, seconds: float = 20.0) -> PushNotice:
        return PushNotice("k7f3", "w1", self.clock() + seconds)

    def statuses(self) -> list[int]:
        return [push.status for push in self.sandbox.pushes]

    @asynccontextmanager
    async def apns(self, **changes: object) -> AsyncIterator[ApnsProvider]:
        provider = ApnsProvider(replace(self.apns_settings, **changes), self.clock)  # type: ignore[arg-type]
        await provider.start()
        try:
            yield provider
        finally:
            await provider.close()

    @asynccontextmanager
    async def fcm(self, **changes: object) -> AsyncIterator[FcmProvider]:
        provider = FcmProvider(replace(self.fcm_settings, **changes), self.clock)  # type: ignore[arg-type]
        await provider.start()
        try:
            yield provider
        finally:
            await provider.close()

    @asynccontextmanager
    async def webpush(self, **changes: object) -> AsyncIterator[WebPushProvider]:
        provider = WebPushProvider(replace(self.webpush_settings, **changes), self.clock)  # type: ignore[arg-type]
        await provider.start()
        try:
            yield provider
        finally:
            await provider.close()

    async def until(self, condition: Callable[[], bool], within: float = 10.0) -> None:
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110  the sandbox tells of its pushes in a list
                await asyncio.sleep(0.005)


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all sandboxes: making keys is slow."""
    return tmp_path_factory.mktemp("push-sandbox")


@pytest.fixture
async def rig(directory: Path) -> AsyncIterator[Rig]:
    sandbox = ProviderSandbox(ADDRESS)
    await sandbox.start(directory)
    yield Rig(sandbox)
    await sandbox.stop()
