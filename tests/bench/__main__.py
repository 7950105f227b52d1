"""`make bench`: measure every figure and write build/bench.json. Runs real Kamailios on loopback; as root, about 25 minutes."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from control.host.errors import HostError
from demo.sandbox import SandboxError
from tests.bench import media, notice, push, races, register_cpu, registrar, resume, wake_cpu
from tests.bench.edge import BenchError
from tests.bench.figures import Figure, write
from tests.bench.media import setup
from tests.bench.progress import Progress

REPOSITORY = Path(__file__).resolve().parents[2]
Measure = Callable[[Path, Path, Progress, float], list[Figure]]
MEASURES: dict[str, Measure] = {
    "register": register_cpu.measure,
    "wake": wake_cpu.measure,
    "resume": resume.measure,
    "notice": notice.measure,
    "races": races.measure,
    "registrar": registrar.measure,
    "push": push.measure,
    "media-g711": media.g711,
    "media-transcoded": media.transcoded,
    "media-setup": setup.measure,
}


def main(arguments: list[str]) -> int:
    """Run all measurements, or those that are named; exit status 1 when a goal is missed, 2 when one cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*MEASURES, []], help="measure only these")
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of the work, for a trial")
    parser.add_argument("--race-rate", type=float, default=races.RATE, help="calls a second in the races")
    parser.add_argument(
        "--repository", type=Path, default=REPOSITORY, help="measure kemi/ of another checkout"
    )
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build" / "bench.json")
    options = parser.parse_args(arguments)
    progress, figures, broken = Progress(), list[Figure](), False
    measures = MEASURES | {"races": partial(races.measure, rate=options.race_rate)}
    for name in options.only or measures:
        with tempfile.TemporaryDirectory(prefix="nightbell-bench-") as home:
            try:
                found = measures[name](Path(home), options.repository, progress, options.scale)
            except (BenchError, HostError, SandboxError) as error:
                progress.result(f"{name} could not be measured: {error}")
                broken = True
                continue
        for figure in found:
            progress.result(str(figure))
        figures += found
    write(figures, options.output)
    progress.title(f"written to {options.output}")
    if broken:
        return 2
    return 0 if all(figure.reached for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
