"""What Kamailio loads: small and stable, so that a mistake elsewhere is an answer and a line in the log, not a dead worker.

Every handler of router.ROUTES is wrapped: it returns an int whatever happens (that those return one is seen to by their types). A
handler that raised or returned None would leave an error pending in the interpreter that hits the next, innocent message.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

# Kamailio puts this file's folder first on the path; the package above it is what the imports name, and a module
# called like one of the standard library would otherwise hide it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from kemi import ksr, openssl, projection, router, settings  # noqa: E402
from kemi.node import Node  # noqa: E402


class Handler:
    """The object Kamailio calls; one per process after the fork. It has its ``node`` from then on."""

    node: Node

    def __init__(self) -> None:
        self._settings = settings.load()
        if self._settings.projection:
            documents = projection.load(self._settings.projection)
            ksr.log_info(f"nightbell: {documents} documents loaded")

    def child_init(self, rank: int) -> int:
        """Called in each process after the fork."""
        openssl.forget_the_parents()
        self.node = Node.create(self._settings)
        gc.freeze()  # what is loaded stays: the collector need not walk it while a message waits
        if rank == 1:
            router.started(self.node)
        return 0


def _survive(name: str, route: Callable[[Node], int]) -> Callable[..., int]:
    def handler(self: Handler, msg: object, *arguments: object) -> int:
        try:
            return route(self.node)
        except UnicodeDecodeError:
            _answer(name, 400, "Bad Request: a header is not UTF-8")
            _count(self, "malformed", "not UTF-8")
        except Exception:  # noqa: BLE001 - the outermost frame: Kamailio has none to catch it
            ksr.log_error(f"{name}: {traceback.format_exc()}")
            _answer(name, 500, "Server Internal Error")
            _count(self, "handler-error", name)
        return 1

    return handler


def _answer(name: str, code: int, reason: str) -> None:
    if name != "ksr_request_route":
        return
    try:
        if ksr.method() != "ACK":
            ksr.reply(code, reason)
    except Exception:  # noqa: BLE001 - likewise
        ksr.log_error(f"{name}: no answer could be sent: {traceback.format_exc()}")


def _count(handler: Handler, name: str, detail: str) -> None:
    node = getattr(handler, "node", None)  # none yet in a process that could not be given one
    if node is not None:
        node.events.count(name, detail)


for _name, _route in router.ROUTES.items():
    setattr(Handler, _name, _survive(_name, _route))


def mod_init() -> Handler:
    """Kamailio's entry: called once, before the fork. What is wrong with the settings ends the start with its name."""
    try:
        return Handler()
    except settings.SettingsError as error:
        ksr.log_error(f"nightbell: {error}")
        raise
