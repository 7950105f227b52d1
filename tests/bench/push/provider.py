"""The provider sandbox in a process of its own, and what leads to it."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from control.domain.push import Outcome, PushNotice, PushToken, Verdict
from control.push.apns.settings import ApnsKey, ApnsSettings
from control.push.fcm.settings import FcmAccount, FcmSettings
from demo.sandbox_client import SandboxClient
from tests.bench.edge import BenchError
from tests.bench.progress import Progress

ADDRESS = "127.0.47.1"
TOPIC = "org.example.phone.voip"
PROJECT = "123456789012"
_WITHIN = 20.0  # seconds to start in

Push = Callable[[PushToken, PushNotice], Awaitable[Verdict]]


@dataclass(frozen=True)
class Provider:
    """A sandbox at work; ``facts`` is its sandbox.json."""

    facts: dict[str, Any]
    client: SandboxClient

    @property
    def key(self) -> ApnsKey:
        apns = self.facts["apns"]
        return ApnsKey(Path(apns["key_file"]), apns["key_id"], apns["team_id"])

    @property
    def ca_file(self) -> Path:
        return Path(self.facts["ca_file"])

    def apns_settings(self, port: int = 0) -> ApnsSettings:
        """``port``: of a relay before it."""
        return ApnsSettings((self.key,), ADDRESS, port or self.facts["apns"]["port"], ca_file=self.ca_file)

    def fcm_settings(self) -> FcmSettings:
        account = FcmAccount(Path(self.facts["fcm"]["service_account_file"]))
        return FcmSettings((account,), self.facts["fcm"]["base_url"], self.ca_file)

    def phone(self, name: str) -> PushToken:
        app = TOPIC if name == "apns" else PROJECT
        return PushToken(name, app, "production", self.client.install(name, TOPIC))


@contextmanager
def running(home: Path, progress: Progress) -> Iterator[Provider]:
    """Start the sandbox, and end it. Raises BenchError when it does not start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection for each push is many
    folder = home / "sandbox"
    command = [str(Path(sys.executable).with_name("nightbell")), "sandbox", "--directory", str(folder)]
    process = subprocess.Popen([*command, "--address", ADDRESS], stdout=subprocess.DEVNULL)
    try:
        told = folder / "sandbox.json"
        deadline = time.monotonic() + _WITHIN
        while not told.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("the provider sandbox did not start")
            time.sleep(0.05)
        facts = json.loads(told.read_text("utf-8"))
        progress.step("the provider sandbox is ready")
        yield Provider(facts, SandboxClient(facts["control_url"]))
    finally:
        process.terminate()
        process.wait(timeout=10)


def quiet() -> None:
    """Nothing but warnings, in this process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.getLogger("aioapns").setLevel(logging.ERROR)  # it tells of every wait


def notice(seconds: float) -> PushNotice:
    """A call that is worth a push for so long."""
    return PushNotice("k7f3qd2m", "z9hG4bK-w1", time.time() + seconds)


async def at_once(send: Callable[[int], Awaitable[object]], count: int, workers: int) -> None:
    """``send`` each number below ``count``, so many at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await send(number)

    await asyncio.gather(*(work() for _ in range(workers)))


async def paced(send: Callable[[], Awaitable[object]], count: int, per_second: float) -> list[float]:
    """Begin one after the other at an even pace, whether or not the earlier ones are through; how long each took, in ms."""
    loop = asyncio.get_running_loop()
    taken: list[float] = []

    async def one(due: float) -> None:
        await send()
        taken.append((loop.time() - due) * 1e3)

    first = loop.time() + 0.05
    tasks = []
    for number in range(count):
        due = first + number / per_second
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return taken


def expect(verdict: Verdict, outcome: Outcome) -> None:
    """Raises BenchError unless the verdict is this one: what went wrong must not be measured as fast."""
    if verdict.outcome is not outcome:
        raise BenchError(f"a push came to {verdict.outcome.value} ({verdict.reason}), not {outcome.value}")
