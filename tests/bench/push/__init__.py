"""What pushing costs and withstands: Nightbell's dispatcher and providers against the provider sandbox, on loopback."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import structlog

from tests.bench.figures import Figure
from tests.bench.progress import Progress
from tests.bench.push import connecting, isolation, leaks, throughput
from tests.bench.push.provider import running


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """All `push.*` figures. ``repository`` is not used: the product that runs is this checkout's."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.getLogger("aioapns").setLevel(logging.ERROR)  # it tells of every wait
    figures: list[Figure] = []
    with running(home, progress) as provider:
        for part in (throughput, leaks, isolation, connecting):
            figures += asyncio.run(part.measure(provider, progress, scale))
    return figures


__all__ = ["measure"]
