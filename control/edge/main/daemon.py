"""The edge agent as a process: its log, its signals, and how its threads share the interpreter."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import structlog

from control.edge.main.agent import Agent
from control.settings import Settings

# How long the DB thread may keep the interpreter from the event loop, in seconds: a held call waits there, once for each
# socket that is read or written on its way.
_SWITCH_S = 0.0001


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises what keeps the agent from starting."""
    _configure_log()
    sys.setswitchinterval(_SWITCH_S)
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    agent = Agent(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop.set)
    await agent.run()


def _configure_log() -> None:
    """Plain lines on stderr. Tracebacks without local variables: those may be tokens."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
