"""G.711 both ways in plain Python (the standard library lost ``audioop`` in 3.13): 16 bit linear samples and octets."""

from __future__ import annotations

from collections.abc import Iterable

_BIAS = 0x84  # ITU-T G.711, as in its reference code G.191


def _ulaw_to_linear(octet: int) -> int:
    octet = ~octet & 0xFF
    magnitude = (((octet & 0x0F) << 3) + _BIAS) << ((octet & 0x70) >> 4)
    return _BIAS - magnitude if octet & 0x80 else magnitude - _BIAS


def _alaw_to_linear(octet: int) -> int:
    octet ^= 0x55
    exponent = (octet & 0x70) >> 4
    magnitude = ((octet & 0x0F) << 4) + 8
    if exponent:
        magnitude = (magnitude + 0x100) << (exponent - 1)
    return magnitude if octet & 0x80 else -magnitude


def _ulaw_of(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | (exponent << 4) | mantissa) & 0xFF


def _alaw_of(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample), 32767)
    exponent = max(magnitude.bit_length() - 8, 0)
    mantissa = (magnitude >> (exponent + 3 if exponent else 4)) & 0x0F
    return (sign | (exponent << 4) | mantissa) ^ 0x55


class Codec:
    """One law; ``silence`` is the octet of a sample next to zero."""

    def __init__(self, payload: int, silence: int) -> None:
        self.payload, self.silence = payload, silence
        to_linear = _ulaw_to_linear if payload == 0 else _alaw_to_linear
        self._encode_one = _ulaw_of if payload == 0 else _alaw_of
        self._linear = tuple(to_linear(octet) for octet in range(256))

    def encode(self, samples: Iterable[int]) -> bytes:
        """Samples (-32768 to 32767) to octets."""
        return bytes(map(self._encode_one, samples))

    def decode(self, octets: bytes) -> list[int]:
        """Octets to samples."""
        linear = self._linear
        return [linear[octet] for octet in octets]


CODECS = {0: Codec(0, 0xFF), 8: Codec(8, 0xD5)}
