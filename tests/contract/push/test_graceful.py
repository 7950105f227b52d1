"""What h2 keeps of streams that have ended: enough for late answers, no more with each push."""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes

from control.push.apns.graceful import GracefulH2Connection

REQUEST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"apns"), (b":path", b"/")]
ANSWER = [(b":status", b"200")]


class Pair:
    """Our side and a server, without a network between."""

    def __init__(self) -> None:
        self.ours = GracefulH2Connection()
        self.server = H2Connection(H2Configuration(client_side=False))
        self.ours.initiate_connection()
        self.server.initiate_connection()
        self.exchange()

    def exchange(self) -> None:
        self.server.receive_data(self.ours.data_to_send())
        self.ours.receive_data(self.server.data_to_send())

    def ask(self) -> int:
        stream = self.ours.get_next_available_stream_id()
        self.ours.send_headers(stream, REQUEST, end_stream=True)
        return stream

    def answer(self, stream: int) -> None:
        self.server.send_headers(stream, ANSWER, end_stream=True)

    def push(self) -> None:
        stream = self.ask()
        self.exchange()
        self.answer(stream)
        self.exchange()


def test_what_is_kept_of_closed_streams_does_not_grow_for_ever() -> None:
    pair = Pair()
    for _ in range(GracefulH2Connection.MAX_CLOSED_STREAMS + 500):
        pair.push()
    assert len(pair.ours._closed_streams) <= GracefulH2Connection.MAX_CLOSED_STREAMS <= 10_000


def test_an_answer_to_a_push_that_was_called_off_long_ago_costs_the_others_nothing() -> None:
    pair = Pair()
    late = pair.ask()
    pair.exchange()
    pair.answer(late)  # under way when we call it off
    crossing = pair.server.data_to_send()
    pair.ours.reset_stream(late, ErrorCodes.CANCEL)
    pair.exchange()
    for _ in range(1000):
        pair.push()
    pair.ours.receive_data(crossing)
    pair.push()
