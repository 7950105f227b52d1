"""What a browser does with a push's body: RFC 8188's aes128gcm under the keys of RFC 8291."""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HEADER = 21  # bytes before the key id: salt, record size, length of the key id (RFC 8188 §2.1)
POINT = 65  # bytes of an uncompressed point of P-256
TAG = 16


class UnreadableError(Exception):
    """The body is not a message to this browser."""


def decrypt(body: bytes, key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """The plaintext of a body of one record, as RFC 8291 §4 wants it. Raises UnreadableError."""
    if len(body) < HEADER + POINT + TAG + 1 or body[HEADER - 1] != POINT:
        raise UnreadableError("no header of aes128gcm with a key of P-256")
    salt, (size,) = body[:16], struct.unpack("!L", body[16:20])
    sender, record = body[HEADER : HEADER + POINT], body[HEADER + POINT :]
    if size < TAG + 2 or len(record) > size:
        raise UnreadableError("more than one record")
    try:
        shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        own = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        secret = _derive(shared, auth, b"WebPush: info\0" + own + sender, 32)
        cipher = AESGCM(_derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16))
        padded = cipher.decrypt(_derive(secret, salt, b"Content-Encoding: nonce\0", 12), record, None)
    except (ValueError, InvalidTag):
        raise UnreadableError("not encrypted to this subscription") from None
    text = padded.rstrip(b"\0")
    if not text.endswith(b"\x02"):
        raise UnreadableError("the last record does not end in 2")
    return text[:-1]


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)
