"""OpenSSL in a process that was forked: it gets thread-local data of its own.

Kamailio 5.6 starts OpenSSL before it forks, and has it allocate in shared memory. What OpenSSL keeps per thread, its queue of
errors first of all, is then one and the same object in every worker: two that fail a TLS handshake at the same time free each
other's texts, and a worker dies, with it Kamailio and every call it holds. Later versions can forget such data after the fork
(``tls_threads_mode = 2``); this does the same where they are not at hand. OpenSSL makes what it does not find anew.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from pathlib import Path

_KEYS = 1024  # PTHREAD_KEYS_MAX of glibc


def shared(maps: Iterable[str]) -> Iterator[range]:
    """The addresses that are shared with other processes, of the lines of /proc/PID/maps (proc(5))."""
    for line in maps:
        addresses, permissions = line.split(maxsplit=2)[:2]
        if permissions.endswith("s"):
            begin, _, end = addresses.partition("-")
            yield range(int(begin, 16), int(end, 16))


def forget_the_parents() -> int:
    """Drop each thread-local value of this process that lies in shared memory; returns how many.

    Nothing but OpenSSL allocates such values there: Python's lie in the process's own memory, and stay. They are not freed, as
    the other processes forget them, too, each on its own.
    """
    library = ctypes.CDLL(None)
    library.pthread_getspecific.restype = ctypes.c_void_p
    library.pthread_setspecific.argtypes = (ctypes.c_uint, ctypes.c_void_p)
    with Path("/proc/self/maps").open(encoding="utf-8", errors="replace") as maps:
        spans = list(shared(maps))
    forgotten = 0
    for key in range(_KEYS):
        value = library.pthread_getspecific(key) or 0
        if any(value in span for span in spans):
            library.pthread_setspecific(key, None)
            forgotten += 1
    return forgotten
