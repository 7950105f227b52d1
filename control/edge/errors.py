"""What can go wrong beside Kamailio.

EdgeError
├── RpcError
│   ├── RpcUnavailableError    Kamailio's socket is not there: it is down or starting
│   ├── RpcTimeoutError        no answer in time: Kamailio is stuck or has just died
│   └── RpcRefusedError        Kamailio answered with an error
├── EventsSocketError          the port of Kamailio's events cannot be bound
├── LocateError
│   ├── HostNotFoundError      DNS knows no such host, or no SIP service there
│   └── NameServerError        the name servers do not answer, or with an error
├── MediaRelayError            rtpengine does not answer
│   └── RelayRefusedError      it answers with an error
└── LedgerUnavailableError     the database is away or locked: try again
"""

from __future__ import annotations


class EdgeError(Exception):
    """Base of all errors of the edge agent; ``id`` is stable and fit for logs and alarms."""

    id = "edge"


class RpcError(EdgeError):
    """Kamailio could not be told something."""

    id = "edge-rpc"


class RpcUnavailableError(RpcError):
    """Kamailio's JSON-RPC socket is not there."""

    id = "edge-rpc-unavailable"


class RpcTimeoutError(RpcError):
    """Kamailio took the request and did not answer in time; whether it acted is unknown."""

    id = "edge-rpc-timeout"


class RpcRefusedError(RpcError):
    """Kamailio answered with an error; ``code`` is JSON-RPC's (404: no such key)."""

    id = "edge-rpc-refused"

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Kamailio refused with {code}: {message}")
        self.code = code


class EventsSocketError(EdgeError):
    """Nothing can be heard from Kamailio: the port is taken or not ours."""

    id = "edge-events-socket"


class LocateError(EdgeError):
    """Where a PBX is could not be found out; the text says why."""

    id = "edge-locate"


class HostNotFoundError(LocateError):
    """DNS has answered, and there is no such host."""

    id = "edge-host-not-found"


class NameServerError(LocateError):
    """The name servers did not answer, or with an error: whether there is such a host is unknown."""

    id = "edge-name-server"


class MediaRelayError(EdgeError):
    """An rtpengine does not answer, or with an error; the text says which and what."""

    id = "edge-media-relay"


class RelayRefusedError(MediaRelayError):
    """An rtpengine answers with an error; as a rule it does not know the call."""

    id = "edge-media-relay-refused"


class LedgerUnavailableError(EdgeError):
    """The database is away or locked; what was to be written is not lost, it is tried again."""

    id = "edge-ledger-unavailable"
