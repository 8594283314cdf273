"""Certificates of a made-up authority, as PEM files."""

from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEY_PASSWORD = "opens the key"


class Certificates(NamedTuple):
    """The authority, a server's certificate and key, a client's certificate and its key with a password."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    client_key_password: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    files = Certificates(*(folder / f"{name}.pem" for name in Certificates._fields))
    authority.cert_pem.write_to_path(str(files.ca))
    for name, cert, key in (("127.0.0.1", files.server, files.server_key), ("kith", files.client, files.client_key)):
        issued = authority.issue_cert(name)
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        private = load_pem_private_key(issued.private_key_pem.bytes(), None)
        locked = BestAvailableEncryption(KEY_PASSWORD.encode()) if name == "kith" else NoEncryption()
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    files.client_key_password.write_text(KEY_PASSWORD + "\n")
    return files
