"""The edge agent: one asyncio process beside Kamailio, put together here from its parts."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from control.domain.push import PushToken
from control.edge.db_thread import DbThread
from control.edge.errors import LedgerUnavailableError
from control.edge.hang_up import hang_up
from control.edge.intake import Intake
from control.edge.key_player import KeyPlayer
from control.edge.locator import Locator
from control.edge.main.ledger import DatabaseLedger
from control.edge.main.readiness import ready
from control.edge.media_collector import MediaCollector
from control.edge.projection_db import ProjectionDb
from control.edge.projector import Projector
from control.edge.receiver import Receiver
from control.edge.recorder import Recorder
from control.edge.relay_watch import RelayWatch
from control.edge.reminders import Reminders
from control.edge.rpc import KamailioRpc
from control.edge.rtpengine import Rtpengine
from control.edge.silence_watch import SilenceWatch
from control.edge.test_call import Place, TestCall
from control.edge.token_lessons import TokenLessons
from control.edge.tokens import TokenBook
from control.edge.voicemail import VoicemailPusher
from control.edge.wake_limits import WakeLimits
from control.edge.wake_tester import WakeTester, Wanted
from control.edge.waker import Waker
from control.push.dispatcher import Dispatcher
from control.push.providers import configured
from control.settings import Settings
from control.store.session import Store
from kemi.wire import TABLE_AGENT

log = structlog.get_logger(__name__)

EVENTS_ADDRESS = "127.0.0.1"
ALIVE_S = (
    1.0  # how often Kamailio is told which incarnation is alive; it also shows whether Kamailio is there
)
BEAT_S = 2.0
CONNECT_S = 3.0  # how long the start waits for the providers' connections
LAST_FLUSH_S = 3.0
PRUNE_S = 3600.0


class Agent:
    """One incarnation, named by ``boot``. ``run`` serves until ``stop`` is set; one object runs once.

    Raises SettingsError, StoreError, PushCredentialsError or EventsSocketError when it cannot start.
    """

    def __init__(self, settings: Settings) -> None:
        self.boot = secrets.token_hex(8)
        self.stop = asyncio.Event()
        self._settings = settings
        self._announced = False
        self._thread = DbThread()
        self._tokens = TokenBook()
        self._store = Store.open(settings.database.url, settings.home)
        identity_key = bytes.fromhex(settings.identity_key())
        self._ledger = DatabaseLedger(self._store, settings.edge.domain, identity_key, settings.wake.policy)
        self._file = ProjectionDb(settings.projection_db)
        self._rpc = KamailioRpc(settings.rpc_socket, on_connect=self._kamailio_found)
        self._projector = Projector(
            source=self._ledger,
            file=self._file,
            rpc=self._rpc,
            thread=self._thread,
            on_tokens=self._load_tokens,
            on_wake_wanted=self._wake_wanted,
            locate=Locator().locate,
        )
        self._recorder = Recorder(
            self._ledger,
            self._file,
            self._thread,
            saved=self._tokens.saved,
            learned=self._projector.nudge,
        )
        limits = settings.wake.calls_per_callee, settings.wake.calls_per_domain
        providers = configured(settings.push, trouble=self._recorder.put)
        self._dispatcher = Dispatcher(providers, trouble=self._recorder.put)
        lessons = TokenLessons(self._tokens, self._recorder.put, time.time)
        self._waker = Waker(
            boot=self.boot,
            orders=self._rpc,
            tokens=self._tokens,
            dispatch=self._dispatcher.dispatch,
            note=self._recorder.put,
            learn=lessons.learn,
            record=self._recorder.put,
            limits=WakeLimits(*limits),
            message_limits=WakeLimits(*limits, "messages"),
            request_limits=WakeLimits(*limits, "requests within calls"),
            caller_in_push=settings.wake.caller_in_push,
            now=time.time,
        )
        self._reminders = Reminders(
            tokens=self._tokens,
            dispatch=self._dispatcher.dispatch,
            remember=self._recorder.put,
            learn=lessons.learn,
            now=time.time,
        )
        edge = settings.edge
        self._place = Place(edge.address, edge.sip_port, edge.domain, identity_key)
        self._tests = WakeTester(
            take=self._take_tests, call=self._call, remember=self._recorder.put, now=time.time
        )
        relays = [Rtpengine(each.name, each.control, each.ng_port) for each in settings.rtpengine]
        self._media = MediaCollector(relays, self._recorder.put)
        self._keys = KeyPlayer(relays, self._rpc, time.time)
        self._relays = RelayWatch(relays, self._recorder.put, time.time)
        self._silence = SilenceWatch(
            relays,
            settings.edge.silence,
            domain=edge.domain,
            hang_up=partial(hang_up, self._rpc),
            remember=self._recorder.put,
            media_ended=self._media.ended,
            now=time.time,
            clock=time.monotonic,
        )
        self._voicemail = VoicemailPusher(
            tokens=self._tokens,
            dispatch=self._dispatcher.dispatch,
            learn=lessons.learn,
            remember=self._recorder.put,
            limits=WakeLimits(*limits, "voice messages"),
            now=time.time,
        )
        self._intake = Intake(
            waker=self._waker,
            tokens=self._tokens,
            remember=self._recorder.put,
            reminders=self._reminders,
            media_ended=self._media.ended,
            key_pressed=self._keys.pressed,
            call_step=self._silence.step,
            voicemail=self._voicemail.waiting,
            hello=self._kamailio_found,
        )
        # Bound now, read once the tokens are here: the kernel keeps what comes in between.
        self._receiver = Receiver(
            EVENTS_ADDRESS, settings.edge.events_port, settings.events_key(), self._intake.handle
        )

    async def run(self) -> None:
        """Serve until ``stop`` is set."""
        log.info("edge-starts", boot=self.boot, events_port=self._receiver.port)
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._connect_providers(tasks)
            self._rpc.start()
            tasks += [
                asyncio.create_task(self._recorder.run(), name="recorder"),
                asyncio.create_task(self._projector.run(), name="projector"),
                asyncio.create_task(self._beat(), name="heartbeat"),
                asyncio.create_task(self._relays.run(), name="relays"),
                asyncio.create_task(self._silence.run(), name="silence"),
            ]
            if await self._until(self._projector.ready, tasks):
                self._announced = True
                gc.collect()
                gc.freeze()  # what is loaded now stays: the collector need not walk it while a call waits
                with contextlib.suppress(LedgerUnavailableError):  # then somebody may be pushed to twice
                    self._waker.resume(await self._thread.run(self._ledger.wakes_under_way, time.time()))
                    self._reminders.load(await self._thread.run(self._ledger.reminders, time.time()))
                self._receiver.start()
                tasks.append(asyncio.create_task(self._reminders.run(), name="reminders"))
                tasks.append(asyncio.create_task(self._tests.run(), name="tests"))
                tasks.append(asyncio.create_task(self._say_alive(), name="alive"))
                with ready(self._settings.edge_ready, self.boot):
                    log.info("edge-ready", devices_with_tokens=len(self._tokens))
                    await self._until(self.stop, tasks)
        finally:
            await self._close(tasks)

    async def _connect_providers(self, tasks: list[asyncio.Task[None]]) -> None:
        """Connect ahead, so that the first push is fast; a provider that is slow delays nothing else."""
        start = asyncio.create_task(self._dispatcher.start(), name="providers")
        done, _ = await asyncio.wait({start}, timeout=CONNECT_S)
        if done:
            start.result()
        else:
            tasks.append(start)

    async def _until(self, event: asyncio.Event, tasks: list[asyncio.Task[None]]) -> bool:
        """Whether the event came, and not the order to stop; raises what one of the tasks died of."""
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self.stop.wait())]
        pending: set[asyncio.Task[None]] = set(tasks)
        try:
            while not any(wait.done() for wait in waits):
                await asyncio.wait([*waits, *pending], return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in pending if task.done()]:
                    task.result()
                    pending.discard(task)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set() and not (self.stop.is_set() and event is not self.stop)

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        self._receiver.close()
        await self._waker.close()
        await self._voicemail.close()
        await self._keys.close()
        await self._media.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_FLUSH_S):
                await self._recorder.flush()
        await self._rpc.close()
        await self._dispatcher.close()
        self._thread.close()
        self._file.close()
        self._store.close()
        log.info("edge-stopped", boot=self.boot)

    # ------------------------------------------------------------------------------------------ wiring

    def _kamailio_found(self) -> None:
        """Kamailio is there, or there anew: its tables may be older than what it was told."""
        if self._announced:
            self._say_boot()
        self._projector.mend()

    def _say_boot(self) -> None:
        if self._rpc.connected:  # else it is said as soon as Kamailio is there
            self._rpc.order("htable.sets", TABLE_AGENT, "boot", self.boot)

    async def _say_alive(self) -> None:
        while True:
            self._say_boot()
            await asyncio.sleep(ALIVE_S)

    async def _beat(self) -> None:
        pruned_at = 0.0
        while True:
            now = time.time()
            with contextlib.suppress(LedgerUnavailableError):  # the age of the last beat says it
                await self._thread.run(self._ledger.beat, now, self._facts())
                if now - pruned_at > PRUNE_S:
                    await self._thread.run(self._ledger.prune, now, self._settings.journal)
                    pruned_at = now
            await asyncio.sleep(BEAT_S)

    def _wake_wanted(self) -> None:
        self._tests.look()

    async def _take_tests(self) -> Sequence[Wanted]:
        return await self._thread.run(self._ledger.take_tests, time.time())

    async def _call(self, test: str, device: str) -> int:
        return await TestCall(self._place, test, device).run()

    def _facts(self) -> dict[str, object]:
        return {
            "boot": self.boot,
            "kamailio": self._rpc.connected,
            "devices_with_tokens": len(self._tokens),
            "events": dict(self._receiver.counters),
            "push": self._dispatcher.state(),
            "wakes": dict(self._waker.counters),
            "reminders": dict(self._reminders.counters),
            "voicemail": dict(self._voicemail.counters),
            "tests": dict(self._tests.counters),
            "rpc": dict(self._rpc.counters),
            "journal": {**self._recorder.counters, **self._ledger.counters},
            "media": dict(self._media.counters),
            "keys": dict(self._keys.counters),
            "relays": dict(self._relays.calls),
            "silence": dict(self._silence.counters),
            "projection": dict(self._projector.counters),
            "sip": dict(self._intake.counters),
        }

    def _load_tokens(self, tokens: Mapping[str, Sequence[PushToken]], complete: bool) -> None:
        self._tokens.load(tokens, complete=complete)
