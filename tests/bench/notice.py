"""How soon a push reaches the provider: the whole real product, from the PBX's INVITE to the last byte at the sandbox."""

from __future__ import annotations

import select
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from control.domain.connection import ConnectionSpec
from control.domain.push import APNS, SANDBOX, PushToken
from control.domain.secret import Secret
from control.services import connections, people, tokens
from demo.stack import TOPICS, Stack
from kemi.wire import TABLE_CONNECTION
from tests.bench import sip
from tests.bench.edge import BenchError
from tests.bench.figures import Figure, percentile
from tests.bench.pair import PBX
from tests.bench.population import Phone
from tests.bench.priority import before_others
from tests.bench.progress import Progress
from tests.bench.sip import Address

GOALS = {50: 2.0, 99: 10.0}
_ADDRESS = "127.0.45.1"
_RATE = 200.0  # calls a second
_PEOPLE = 400
_ROUNDS = 5  # calls to each; the caller gives up before his next one
_GIVE_UP = 0.5  # seconds after the INVITE
_WITHIN = 30.0  # seconds for what is added to reach Kamailio


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """`wake.notice_ms_p50` and `_p99`, and what the agent's work for a call costs.

    ``repository`` is not used: the product that runs is this checkout's.
    """
    count, rounds = int(_PEOPLE * scale), _ROUNDS
    progress.title(
        f"notice: {count * rounds} calls at {_RATE:g}/s to sleeping phones, through the whole product"
    )
    with before_others(), _stack(home / "whole", progress) as stack:
        progress.step(f"adding {count} people")
        called = _settle(stack, count)
        link = sip.udp(PBX)
        _call(link, stack.sip_address(), [phone for phone, _ in called], 1, progress)  # warms up
        since = max((push.number for push in stack.sandbox.pushes()), default=0)
        before = _cpu(stack.edge.pid)
        sent: dict[str, list[float]] = defaultdict(list)
        for number in range(rounds):
            times = _call(link, stack.sip_address(), [phone for phone, _ in called], number + 2, progress)
            for (_, token), at in zip(called, times, strict=True):
                sent[token].append(at)
        pushes = stack.sandbox.pushes(since=since)
        used = (_cpu(stack.edge.pid) - before) / (count * rounds)
        link.close()
    received: dict[str, list[float]] = defaultdict(list)
    for push in pushes:
        received[push.token].append(push.received_at)
    return [
        *_figures(sent, received, progress),
        Figure("wake.agent_cpu_ms_per_call", round(used * 1e3, 3), "ms"),
    ]


def _cpu(pid: int | None) -> float:
    """CPU seconds that all threads of a process have used: the journal is written in one of its own."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text(encoding="ascii").split()[0]) for each in threads) / 1e9


def _figures(
    sent: dict[str, list[float]], received: dict[str, list[float]], progress: Progress
) -> list[Figure]:
    wrong = sum(len(received[token]) != len(times) for token, times in sent.items())
    if wrong:
        raise BenchError(f"{wrong} of {len(sent)} phones did not get exactly one push for each call")
    taken = [
        (at - invited) * 1e3
        for token, times in sent.items()
        for invited, at in zip(times, sorted(received[token]), strict=True)
    ]
    progress.result(f"{len(taken)} pushes, the slowest after {max(taken):.1f} ms")
    return [
        Figure(f"wake.notice_ms_p{percent}", round(percentile(taken, percent), 3), "ms", goal=goal)
        for percent, goal in GOALS.items()
    ]


@contextmanager
def _stack(home: Path, progress: Progress) -> Iterator[Stack]:
    stack = Stack(home, _ADDRESS)
    with ExitStack() as ending:
        ending.callback(lambda: list(stack.stop()))
        for name, _ in stack.start():
            progress.step(f"{name} is ready")
        yield stack


def _settle(stack: Stack, count: int) -> list[tuple[Phone, str]]:
    """People with a phone that can be woken and an account at a PBX that only calls; each with its push token."""
    found = []
    with stack.store.write() as session:
        for number in range(count):
            user = f"user{number:06d}"
            people.add_user(session, user)
            device, _ = people.add_device(session, user, "phone", stack.domain)
            token = stack.sandbox.install(APNS, TOPICS[APNS])
            tokens.store_tokens(session, device.id, [PushToken(APNS, TOPICS[APNS], SANDBOX, token)])
            spec = ConnectionSpec(
                name=user, host=PBX, port=5060, user=user, password=Secret(user), users=(user,),
                register=False, media="direct",
            )  # fmt: skip
            connection = connections.add_connection(session, spec).id
            found.append((Phone(number, device.id, user, connection, ""), token))
    deadline = time.monotonic() + _WITHIN
    for phone, _ in reversed(found):
        while stack.table(TABLE_CONNECTION, phone.connection) is None:
            if time.monotonic() > deadline:
                raise BenchError(f"Kamailio did not learn of {phone.connection} within {_WITHIN:g} s")
            time.sleep(0.05)
    return found


def _call(
    link: socket.socket, edge: Address, phones: list[Phone], run: int, progress: Progress
) -> list[float]:
    """Call each phone and give up; returns when each INVITE was sent (UNIX seconds)."""
    at: Address = link.getsockname()
    progress.step(f"round {run - 1} of {_ROUNDS}" if run > 1 else "warming up")
    first, sent, cancelled, ended = time.monotonic() + 0.1, list[float](), 0, set[int]()
    patience = first + len(phones) / _RATE + _GIVE_UP + 5.0
    while len(ended) < len(phones) and (now := time.monotonic()) < patience:
        if len(sent) < len(phones) and now >= first + len(sent) / _RATE:
            message = sip.invite(phones[len(sent)], at, edge, run)
            sent.append(time.time())
            link.sendto(message, edge)
        if cancelled < len(sent) and now >= first + cancelled / _RATE + _GIVE_UP:
            link.sendto(sip.cancel(phones[cancelled], at, edge, run), edge)
            cancelled += 1
        due = first + min(len(sent) / _RATE, cancelled / _RATE + _GIVE_UP)
        while select.select([link], [], [], min(0.05, max(0.0, due - time.monotonic())))[0]:
            reply = link.recv(65535)
            mark, _, number = sip.value(reply, b"Call-ID")[5:].partition(b"-")
            if int(mark) != run or sip.status(reply) < 200 or b"INVITE" not in sip.value(reply, b"CSeq"):
                continue
            ended.add(int(number))
            link.sendto(sip.ack_refusal(reply, phones[int(number)], at, edge, run), edge)
    if len(ended) < len(phones):
        raise BenchError(f"{len(phones) - len(ended)} calls that were given up did not end")
    return sent
