"""APNs as HTTP/2: streams, windows, GOAWAY, RST_STREAM and the other ways a connection goes wrong."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamReset,
    WindowUpdated,
)
from h2.settings import SettingCodes
from hyperframe.frame import Frame, HeadersFrame

from demo.sandbox import ProviderSandbox

if TYPE_CHECKING:
    from tests.contract.sandbox.conftest import ApnsSender, Connect, FrameSender

TOPIC = "org.example.phone.voip"


def stream_limits(sender: FrameSender) -> list[int]:
    return [
        event.changed_settings[SettingCodes.MAX_CONCURRENT_STREAMS].new_value
        for event in sender.of(RemoteSettingsChanged)
        if SettingCodes.MAX_CONCURRENT_STREAMS in event.changed_settings
    ]


async def test_p8_one_stream_until_a_valid_provider_token_has_come(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    token = sandbox.install("apns", TOPIC)
    await sender.until(lambda: stream_limits(sender) == [1])
    refused = sender.request(token, authorization="bearer nonsense")
    assert (await sender.answer(refused))[0] == 403
    assert stream_limits(sender) == [1]
    accepted = sender.request(token)
    assert (await sender.answer(accepted))[0] == 200
    await sender.until(lambda: stream_limits(sender) == [1, 1000])


async def test_a_sender_that_has_not_yet_read_the_settings_is_served(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    token = sandbox.install("apns", TOPIC)
    streams = [sender.request(token) for _ in range(20)]
    assert [(await sender.answer(stream))[0] for stream in streams] == [200] * 20


async def test_the_streams_can_be_limited_to_one_and_freed_again(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    token = sandbox.install("apns", TOPIC)
    await sender.answer(sender.request(token))
    sandbox.order("apns", fault="one_stream")
    await sender.until(lambda: stream_limits(sender) == [1, 1000, 1])
    assert (await sender.answer(sender.request(token)))[0] == 200
    sandbox.clear_orders("apns")
    await sender.until(lambda: stream_limits(sender) == [1, 1000, 1, 1000])


async def test_data_is_acknowledged_so_that_a_long_connection_never_stalls(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    token = sandbox.install("apns", TOPIC)
    body = json.dumps({"x": "x" * 4000}).encode()
    total = 0
    while total < 3 * 65535:  # the connection's window would be used up three times
        assert (await sender.answer(sender.request(token, body)))[0] == 200
        total += len(body)
    assert any(event.stream_id == 0 for event in sender.of(WindowUpdated))


async def test_an_answer_waits_for_the_senders_window(sandbox: ProviderSandbox, connect: Connect) -> None:
    sender = await connect(window=5, acknowledge=False)
    sandbox.order("apns", reason="BadDeviceToken")
    stream = sender.request(sandbox.install("apns", TOPIC))
    await sender.until(lambda: len(sender.body(stream)) == 5)
    sender.h2.increment_flow_control_window(7, stream)
    sender.flush()
    await sender.until(lambda: len(sender.body(stream)) == 12)
    sender.h2.increment_flow_control_window(100, stream)
    sender.flush()
    status, answer = await sender.answer(stream)
    assert (status, json.loads(answer)) == (400, {"reason": "BadDeviceToken"})
    assert [len(event.data) for event in sender.of(DataReceived)][:2] == [5, 7]


async def test_answers_continue_when_the_sender_widens_all_windows_at_once(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect(window=0)
    sandbox.order("apns", reason="Unregistered")
    token = sandbox.install("apns", TOPIC)
    streams = [sender.request(token) for _ in range(3)]
    await sender.until(lambda: len(sender.of(ResponseReceived)) == 3)
    assert sender.of(DataReceived) == []
    sender.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65535})
    sender.flush()
    assert [(await sender.answer(stream))[0] for stream in streams] == [410] * 3


async def test_thousands_of_errors_on_one_connection(sandbox: ProviderSandbox, connect: Connect) -> None:
    sender = await connect()
    token = sandbox.install("apns", TOPIC)
    await sender.answer(sender.request(token))
    sandbox.order("apns", reason="Unregistered")
    for _ in range(30):
        sender.events.clear()
        streams = [sender.request(token) for _ in range(100)]
        assert [(await sender.answer(stream))[0] for stream in streams] == [410] * 100
    assert len(sandbox.pushes) == 3001


async def test_a_push_is_received_when_its_last_byte_is_here(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    stream = sender.request(sandbox.install("apns", TOPIC), body=None)
    sender.h2.send_data(stream, b'{"call":')
    sender.h2.ping(b"halfway!")
    sender.flush()
    await sender.until(lambda: any("Ping" in type(event).__name__ for event in sender.events))
    assert sandbox.pushes == []
    before = time.time()
    sender.h2.send_data(stream, b'"c1"}', end_stream=True)
    sender.flush()
    assert (await sender.answer(stream))[0] == 200
    assert sandbox.pushes[0].received_at >= before
    assert sandbox.pushes[0].payload == {"call": "c1"}


async def test_a_push_the_sender_resets_before_its_end_never_was(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    token = sandbox.install("apns", TOPIC)
    half = sender.request(token, body=None)
    sender.h2.reset_stream(half, ErrorCodes.CANCEL)
    whole = sender.request(token)
    assert (await sender.answer(whole))[0] == 200
    assert len(sandbox.pushes) == 1


async def test_repeated_headers_are_refused(sandbox: ProviderSandbox, connect: Connect) -> None:
    sender = await connect()
    stream = sender.h2.get_next_available_stream_id()
    line = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", f"/3/device/{sandbox.install('apns', TOPIC)}"),
        (":authority", "x"),
    ]
    sender.h2.send_headers(stream, [*line, *sender.headers.items(), ("apns-topic", TOPIC)])
    sender.h2.send_data(stream, b'{"call":"c1"}', end_stream=True)
    sender.flush()
    assert await sender.answer(stream) == (400, b'{"reason":"DuplicateHeaders"}')


async def test_a_request_without_authority_but_with_host_is_served(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    stream = sender.h2.get_next_available_stream_id()
    path = f"/3/device/{sandbox.install('apns', TOPIC)}"
    line = [(":method", "POST"), (":scheme", "https"), (":path", path), ("host", "api.push.apple.com")]
    sender.h2.send_headers(stream, [*line, *sender.headers.items()])
    sender.h2.send_data(stream, b'{"call":"c1"}', end_stream=True)
    sender.flush()
    assert (await sender.answer(stream))[0] == 200


async def test_an_oversized_push_is_refused_whatever_its_size(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    stream = sender.request(sandbox.install("apns", TOPIC), body=None)
    left = 300_000
    while left:
        await sender.until(lambda: sender.h2.local_flow_control_window(stream) > 0)
        chunk = min(left, sender.h2.local_flow_control_window(stream), sender.h2.max_outbound_frame_size)
        sender.h2.send_data(stream, b"x" * chunk, end_stream=chunk == left)
        sender.flush()
        left -= chunk
    assert await sender.answer(stream) == (413, b'{"reason":"PayloadTooLarge"}')


async def test_p8_goaway_names_the_last_stream_that_was_processed(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    alice, bob = sandbox.install("apns", TOPIC), sandbox.install("apns", TOPIC)
    sender = await connect()
    first = sender.request(alice)
    await sender.answer(first)
    sandbox.order("apns", fault="goaway", token=bob, count=1)
    sender.request(bob)
    sender.request(alice)
    await sender.until_closed()
    [goodbye] = sender.of(ConnectionTerminated)
    assert goodbye.last_stream_id == first
    assert goodbye.error_code == ErrorCodes.NO_ERROR
    assert json.loads(goodbye.additional_data) == {"reason": "Shutdown"}
    assert [push.token for push in sandbox.pushes] == [alice, bob], (
        "what follows the GOAWAY was not processed"
    )

    again = await connect()
    assert (await again.answer(again.request(bob)))[0] == 200


async def test_p8_what_goaway_covers_is_still_answered(sandbox: ProviderSandbox, connect: Connect) -> None:
    alice, bob = sandbox.install("apns", TOPIC), sandbox.install("apns", TOPIC)
    sender = await connect()
    sandbox.order("apns", delay_ms=150, token=alice)
    sandbox.order("apns", fault="goaway", token=bob)
    slow = sender.request(alice)
    sender.request(bob)
    await sender.until_closed()
    assert sender.of(ConnectionTerminated)[0].last_stream_id == slow
    frame, length = Frame.parse_frame_header(memoryview(sender.after_goaway[:9]))
    assert isinstance(frame, HeadersFrame)
    assert (frame.stream_id, "END_STREAM" in frame.flags) == (slow, True)
    fields = dict(sender.h2.decoder.decode(sender.after_goaway[9 : 9 + length]))
    assert fields[":status"] == "200"
    assert len(sender.after_goaway) == 9 + length, "nothing else follows"


async def test_a_stream_below_goaways_last_id_that_was_not_processed_is_refused_by_itself(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    alice, bob = sandbox.install("apns", TOPIC), sandbox.install("apns", TOPIC)
    sender = await connect()
    sandbox.order("apns", fault="goaway", token=bob)
    early = sender.request(bob, body=None)
    late = sender.request(alice)
    await sender.answer(late)
    sender.h2.send_data(early, b'{"call":"c1"}', end_stream=True)
    sender.flush()
    await sender.until_closed()
    assert sender.of(ConnectionTerminated)[0].last_stream_id == late
    [reset] = sender.of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (early, ErrorCodes.REFUSED_STREAM)


async def test_rst_stream_ends_one_push_and_spares_the_connection(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    sender = await connect()
    token = sandbox.install("apns", TOPIC)
    sandbox.order("apns", fault="rst_stream", count=1)
    stream = sender.request(token)
    await sender.until(lambda: bool(sender.of(StreamReset)))
    [reset] = sender.of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (stream, ErrorCodes.INTERNAL_ERROR)
    assert (await sender.answer(sender.request(token)))[0] == 200


async def test_close_drops_the_connection_without_a_word(sandbox: ProviderSandbox, connect: Connect) -> None:
    sender = await connect()
    sandbox.order("apns", fault="close", count=1)
    sender.request(sandbox.install("apns", TOPIC))
    await sender.until_closed()
    assert sender.of(ConnectionTerminated) == []
    assert sender.of(ResponseReceived) == []
    assert (sandbox.pushes[0].status, sandbox.pushes[0].reason) == (0, "close")


async def test_p4_a_push_that_hangs_does_not_hold_up_the_next(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    alice, bob = sandbox.install("apns", TOPIC), sandbox.install("apns", TOPIC)
    sender = await connect()
    await sender.answer(sender.request(bob))
    sandbox.order("apns", fault="hang", token=alice)
    hung = sender.request(alice)
    assert (await sender.answer(sender.request(bob)))[0] == 200
    assert all(event.stream_id != hung for event in sender.of(ResponseReceived))
    assert [push.reason for push in sandbox.pushes] == ["", "hang", ""]


async def test_delay_holds_back_answer_and_delivery(sandbox: ProviderSandbox, connect: Connect) -> None:
    token = sandbox.install("apns", TOPIC)
    sandbox.order("apns", delay_ms=120)
    deliveries = sandbox.deliveries(token)
    sender = await connect()
    began = time.monotonic()
    stream = sender.request(token)
    delivered = await anext(deliveries)
    assert time.monotonic() - began >= 0.12
    assert (await sender.answer(stream))[0] == 200
    assert delivered == sandbox.pushes[0]


async def test_nonsense_ends_its_own_connection_only(sandbox: ProviderSandbox, connect: Connect) -> None:
    good, bad = await connect(), await connect()
    bad.writer.write(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x")  # DATA on stream 0
    await bad.until_closed()
    assert bad.of(ConnectionTerminated)[0].error_code == ErrorCodes.PROTOCOL_ERROR
    assert (await good.answer(good.request(sandbox.install("apns", TOPIC))))[0] == 200


async def test_a_client_without_http2_is_not_served(sandbox: ProviderSandbox) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(sandbox.credentials.ca_file)
    reader, writer = await asyncio.open_connection(*sandbox.apns_address, ssl=context)
    writer.write(b"POST /3/device/ab HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    writer.transport.abort()


async def test_stopping_says_goodbye(sandbox: ProviderSandbox, connect: Connect) -> None:
    sender = await connect()
    stream = sender.request(sandbox.install("apns", TOPIC))
    await sender.answer(stream)
    await sandbox.stop()
    await sender.until_closed()
    assert sender.of(ConnectionTerminated)[0].last_stream_id == stream


async def test_a_provider_that_is_down_refuses_connections_and_comes_back_on_its_port(
    sandbox: ProviderSandbox, connect: Connect
) -> None:
    address = sandbox.apns_address
    token = sandbox.install("apns", TOPIC)
    await sandbox.take_down("apns")
    with pytest.raises(ConnectionRefusedError):
        await connect()
    await sandbox.bring_up("apns")
    assert sandbox.apns_address == address
    sender = await connect()
    assert (await sender.answer(sender.request(token)))[0] == 200


async def test_httpx2_pushes_fifty_at_a_time(sandbox: ProviderSandbox, apns: ApnsSender) -> None:
    token = sandbox.install("apns", TOPIC)
    answers = await asyncio.gather(*(apns.push(token) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({push.connection for push in sandbox.pushes}) == 1
