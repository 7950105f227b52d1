"""The keys and certificates of one sandbox, made once per directory and kept there between runs."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE_DAYS = 365
RENEW_DAYS = 7

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Credentials:
    """Paths of the TLS files, and the public halves of what the senders sign with."""

    ca_file: Path
    certificate_file: Path
    certificate_key_file: Path
    apns_key_file: Path
    apns_public_key: ec.EllipticCurvePublicKey
    apns_key_id: str
    team_id: str
    service_account_file: Path
    service_account_key: rsa.RSAPublicKey
    client_email: str
    private_key_id: str
    project_id: str


def load_or_make(directory: Path, address: str) -> Credentials:
    """The credentials kept in ``directory``; what is missing, or about to expire, is made first."""
    directory.mkdir(parents=True, exist_ok=True)
    if not _certificate_is_good(directory, address):
        _make_certificates(directory, address)
    apns_key = _private_key(directory / "apns-key.p8", lambda: ec.generate_private_key(ec.SECP256R1()))
    account_key = _private_key(
        directory / "service-account.key",
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    )
    ids = _ids(directory / "ids.json")
    if not isinstance(apns_key, ec.EllipticCurvePrivateKey) or not isinstance(account_key, rsa.RSAPrivateKey):
        raise TypeError(f"{directory}: a key file holds a key of another kind; remove the directory")
    return Credentials(
        ca_file=directory / "ca.pem",
        certificate_file=directory / "server.pem",
        certificate_key_file=directory / "server.key",
        apns_key_file=directory / "apns-key.p8",
        apns_public_key=apns_key.public_key(),
        apns_key_id=ids["apns_key_id"],
        team_id=ids["team_id"],
        service_account_file=directory / "service-account.json",
        service_account_key=account_key.public_key(),
        client_email=ids["client_email"],
        private_key_id=ids["private_key_id"],
        project_id=ids["project_id"],
    )


def write_service_account(credentials: Credentials, token_uri: str) -> None:
    """Write service-account.json in Google's format; ``token_uri`` changes with the port."""
    key = (credentials.service_account_file.parent / "service-account.key").read_text("ascii")
    account = {
        "type": "service_account",
        "project_id": credentials.project_id,
        "private_key_id": credentials.private_key_id,
        "private_key": key,
        "client_email": credentials.client_email,
        "client_id": "100000000000000000001",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
    _write_private(credentials.service_account_file, json.dumps(account, indent=2).encode())


def another_team(folder: Path) -> tuple[Path, str, str, ec.EllipticCurvePublicKey]:
    """Another team's signing key: its file, key id, team id, and public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    key_id, team_id = _apple_id(), _apple_id()
    path = folder / f"apns-key-{key_id}.p8"
    _write_private(path, _pem(key))
    return path, key_id, team_id, key.public_key()


def another_project(credentials: Credentials, folder: Path) -> tuple[Path, str, str, rsa.RSAPublicKey]:
    """Another project's service account: its file, project id, address, and public half of its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = json.loads(credentials.service_account_file.read_text("utf-8"))
    project = f"nightbell-sandbox-{secrets.token_hex(3)}"
    email = f"pusher@{project}.iam.gserviceaccount.com"
    account |= {
        "project_id": project,
        "private_key": _pem(key).decode("ascii"),
        "private_key_id": secrets.token_hex(20),
        "client_email": email,
    }
    path = folder / f"{project}.json"
    _write_private(path, json.dumps(account, indent=2).encode())
    return path, project, email, key.public_key()


def _ids(path: Path) -> dict[str, str]:
    if not path.exists():
        project = f"nightbell-sandbox-{secrets.token_hex(3)}"
        ids = {
            "apns_key_id": _apple_id(),
            "team_id": _apple_id(),
            "project_id": project,
            "client_email": f"pusher@{project}.iam.gserviceaccount.com",
            "private_key_id": secrets.token_hex(20),
        }
        _write_private(path, json.dumps(ids, indent=2).encode())
    loaded: dict[str, str] = json.loads(path.read_text("utf-8"))
    return loaded


def _apple_id() -> str:
    # Key ids and team ids are ten upper-case letters and digits.
    return "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(10))


def _private_key(path: Path, make: Callable[[], _Key]) -> object:
    if not path.exists():
        _write_private(path, _pem(make()))
    return serialization.load_pem_private_key(path.read_bytes(), password=None)


def _pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _certificate_is_good(directory: Path, address: str) -> bool:
    paths = [directory / name for name in ("ca.pem", "server.pem", "server.key")]
    if not all(path.exists() for path in paths):
        return False
    certificate = x509.load_pem_x509_certificate(paths[1].read_bytes())
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_DAYS)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return certificate.not_valid_after_utc > soon and ipaddress.ip_address(
        address
    ) in names.get_values_for_type(x509.IPAddress)


def _make_certificates(directory: Path, address: str) -> None:
    """A certificate authority of this sandbox alone; its key is thrown away once the server's is signed."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nightbell sandbox authority")])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nightbell provider sandbox")])
    addresses = {
        ipaddress.ip_address(address),
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    }
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ip) for ip in sorted(addresses, key=str))]
    certificate = (
        _builder(name, ca_name, key.public_key(), ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_private(directory / "server.key", _pem(key))
    (directory / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=LIFE_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
