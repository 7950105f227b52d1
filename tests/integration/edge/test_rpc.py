"""JSON-RPC against a real Kamailio: orders, calls, a Kamailio that is slow, dead, or comes back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from control.edge import rpc as rpc_module
from control.edge.errors import RpcRefusedError, RpcTimeoutError, RpcUnavailableError
from control.edge.rpc import KamailioRpc
from tests.integration.edge.kamailio import SmallKamailio
from tests.integration.edge.waiting import until


@pytest.fixture
async def rpc(kamailio: SmallKamailio) -> AsyncIterator[KamailioRpc]:
    rpc = KamailioRpc(kamailio.rpc_path)
    rpc.start()
    yield rpc
    await rpc.close()


async def size(rpc: KamailioRpc, table: str) -> int:
    return next(int(row["all"]) for row in await rpc.call("htable.stats") if row["name"] == table)


def connected_after_an_order(rpc: KamailioRpc) -> bool:
    """The kernel tells that nobody listens any more when something is sent."""
    rpc.order("htable.sets", "agent", "boot", "b00t")
    return rpc.connected


async def test_an_order_arrives(rpc: KamailioRpc, kamailio: SmallKamailio) -> None:
    rpc.order("htable.sets", "acked", "z9hG4bK-1", "b00t")
    assert await kamailio.table("acked", "z9hG4bK-1") == {"z9hG4bK-1": "b00t"}


async def test_a_document_arrives_as_it_is(rpc: KamailioRpc, kamailio: SmallKamailio) -> None:
    document = '{"v":1,"name":"é ☃ \\" \\\\ \n","n":[1,2]}'
    await rpc.call("htable.sets", "line", "sip:alice@nightbell.test", document)
    found = await kamailio.table("line", "sip:alice@nightbell.test")
    assert found == {"sip:alice@nightbell.test": document}


async def test_a_refusal_is_an_error_with_kamailios_words(rpc: KamailioRpc) -> None:
    with pytest.raises(RpcRefusedError, match="No such htable"):
        await rpc.call("htable.sets", "nope", "a", "b")


async def test_many_calls_at_once_are_all_answered(rpc: KamailioRpc) -> None:
    await asyncio.gather(*(rpc.call("htable.sets", "line", f"k{n}", "v") for n in range(500)))
    assert await size(rpc, "line") == 500


async def test_orders_wait_for_a_kamailio_that_is_slow_and_none_is_lost(
    rpc: KamailioRpc, kamailio: SmallKamailio
) -> None:
    kamailio.send_signal(signal.SIGSTOP)
    for n in range(1000):
        rpc.order("htable.sets", "acked", f"wake-{n}", "b00t")
    assert rpc.counters["sent"] < 1000
    with pytest.raises(RpcTimeoutError):
        await rpc.call("core.uptime", timeout=0.1)
    kamailio.send_signal(signal.SIGCONT)
    await until(lambda: rpc.counters["sent"] == 1000)
    assert await size(rpc, "acked") == 1000
    assert rpc.counters["lost"] == 0


async def test_orders_of_a_time_when_kamailio_is_restarted_reach_the_next_one(
    kamailio: SmallKamailio,
) -> None:
    found: list[bool] = []
    rpc = KamailioRpc(kamailio.rpc_path, on_connect=lambda: found.append(True))
    rpc.start()
    kamailio.stop()
    rpc.order("htable.sets", "agent", "boot", "b00t")
    assert not rpc.connected
    with pytest.raises(RpcUnavailableError, match="is Kamailio running"):
        await rpc.call("core.uptime")
    await kamailio.start()
    await until(lambda: rpc.counters["sent"] == 1)
    assert await kamailio.table("agent", "boot") == {"boot": "b00t"}
    assert found == [True, True]
    await rpc.close()


async def test_orders_nobody_took_in_time_are_counted(
    kamailio: SmallKamailio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_module, "ORDER_LIFE_S", 0.0)
    kamailio.stop()
    rpc = KamailioRpc(kamailio.rpc_path)
    rpc.start()
    rpc.order("htable.sets", "agent", "boot", "b00t")
    await until(lambda: rpc.counters["lost"] == 1)
    await rpc.close()


async def test_an_order_too_big_for_a_datagram_is_counted_and_the_next_goes_out(
    rpc: KamailioRpc, kamailio: SmallKamailio
) -> None:
    rpc.order("htable.sets", "acked", "big", "x" * 1_000_000)
    rpc.order("htable.sets", "acked", "small", "x")
    assert rpc.counters["lost"] == 1
    assert await kamailio.table("acked", "small") == {"small": "x"}


async def test_a_call_ends_when_kamailio_dies_meanwhile(rpc: KamailioRpc, kamailio: SmallKamailio) -> None:
    kamailio.send_signal(signal.SIGSTOP)
    asked = asyncio.create_task(rpc.call("core.uptime", timeout=5))
    await asyncio.sleep(0)
    kamailio.stop(signal.SIGKILL)
    await until(lambda: not connected_after_an_order(rpc))
    with pytest.raises(RpcUnavailableError):
        await asked
