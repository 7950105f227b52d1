"""What pushing costs and withstands: Nightbell's dispatcher and providers against the provider sandbox, on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.progress import Progress
from tests.bench.push import connecting, isolation, leaks, throughput
from tests.bench.push.provider import quiet, running


def measure(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """All `push.*` figures. ``repository`` is not used: the product that runs is this checkout's."""
    quiet()
    figures: list[Figure] = []
    with running(home, progress) as provider:
        for part in (throughput, leaks, isolation, connecting):
            figures += asyncio.run(part.measure(provider, progress, scale))
    return figures


__all__ = ["measure"]
