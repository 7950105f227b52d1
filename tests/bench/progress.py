"""What a measurement says while it runs."""

from __future__ import annotations

import sys
import time


class Progress:
    """Lines with the time passed; on a terminal, steps within a line overwrite each other."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._open = False
        self._title = ""

    def title(self, text: str) -> None:
        """Begin a measurement."""
        self._title = text
        self._line(text)

    def step(self, text: str) -> None:
        """Say how far it is."""
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\x1b[K{self._clock()}   {text}")
            sys.stdout.flush()
            self._open = True
        else:
            self._line(f"  {text}")

    def result(self, text: str) -> None:
        """Say what came out."""
        self._line(f"  {text}")

    def _line(self, text: str) -> None:
        if self._open:
            sys.stdout.write("\r\x1b[K")
            self._open = False
        sys.stdout.write(f"{self._clock()} {text}\n")
        sys.stdout.flush()

    def _clock(self) -> str:
        return f"[{time.monotonic() - self._started:5.1f} s]"
