"""What can go wrong with the programs and files of one installation on this machine.

HostError
├── StartError        a program ended at once, or was not ready in time
├── StopError         a program did not end, even when killed
├── ProgramMissingError   a program, or a file of one, is not installed
├── PrepareError      generated files cannot be written, or a value does not fit in them
│   └── UnknownRelayError   (relays.py) no such rtpengine in the settings
├── NgError           (ng.py) rtpengine did not answer a question, or refused it
└── RpcError          (rpc.py) Kamailio did not answer a question, or refused it
"""


class HostError(Exception):
    """Base of this package's errors; the text says what, why, and what to do."""

    id = "host"


class StartError(HostError):
    """A program ended at once, or was not ready in time. The text ends with the last lines of its log."""

    id = "host-start"


class StopError(HostError):
    """A program did not end, even when killed."""

    id = "host-stop"


class ProgramMissingError(HostError):
    """A program, or a file that comes with one, is not installed."""

    id = "host-program-missing"


class PrepareError(HostError):
    """Generated files cannot be written, or a value does not fit in them."""

    id = "host-prepare"
