"""What a worker forgets of OpenSSL's after the fork: what lies in shared memory, and nothing else."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator

import pytest

from kemi import openssl

MAPS = """\
55d0c6a00000-55d0c6a28000 r--p 00000000 08:01 1234                       /usr/sbin/kamailio
7fb6efc00000-7fb733c00000 rw-s 00000000 00:01 2050                       /dev/zero (deleted)
7fb734a84000-7fb734a87000 rw-p 00000000 00:00 0
7ffd74301000-7ffd74323000 rw-p 00000000 00:00 0                          [stack]
"""

LIBC = ctypes.CDLL(None)
LIBC.pthread_getspecific.restype = ctypes.c_void_p
LIBC.pthread_setspecific.argtypes = (ctypes.c_uint, ctypes.c_void_p)


@pytest.fixture
def key() -> Iterator[int]:
    made = ctypes.c_uint()
    assert LIBC.pthread_key_create(ctypes.byref(made), None) == 0
    yield made.value
    LIBC.pthread_key_delete(made)


def test_shared_memory_is_found() -> None:
    assert list(openssl.shared(MAPS.splitlines())) == [range(0x7FB6EFC00000, 0x7FB733C00000)]


def test_a_value_in_shared_memory_is_forgotten(key: int) -> None:
    with mmap.mmap(-1, 4096) as memory:
        inside = ctypes.c_char.from_buffer(memory, 4095)
        assert LIBC.pthread_setspecific(key, ctypes.addressof(inside)) == 0
        del inside
        assert openssl.forget_the_parents() == 1
        assert LIBC.pthread_getspecific(key) is None
        assert openssl.forget_the_parents() == 0


def test_a_value_of_this_process_stays(key: int) -> None:
    own = ctypes.create_string_buffer(8)
    assert LIBC.pthread_setspecific(key, ctypes.addressof(own)) == 0
    assert openssl.forget_the_parents() == 0
    assert LIBC.pthread_getspecific(key) == ctypes.addressof(own)
