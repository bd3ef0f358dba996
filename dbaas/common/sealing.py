"""Seals secrets for the catalog under the deployment's master key.

AES-256-GCM with random nonces; there is no default key: a service refuses to start without one.
"""

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from oslo_config import cfg

from dbaas.contract import errors
from dbaas.contract.codec import Json
from dbaas.contract.secret import Secret

GROUP = "secrets"
OPTS = [
    cfg.StrOpt(
        "master_key_file",
        help="File with the master key: 64 hexadecimal digits, readable by its owner only. Every "
        "secret in the catalog is sealed under it: without this file they cannot be read again.",
    ),
    cfg.StrOpt(
        "authority_certificate_file",
        help="PEM file with the certificate of the deployment's own authority, which signs the "
        "certificates of the instances and of the broker.",
    ),
    cfg.StrOpt(
        "authority_key_file",
        help="PEM file with the private key of that authority, readable by its owner only.",
    ),
]

_SEALED = "$sealed"
_NONCE = 12


class Sealer:
    """Hides secrets in values that are stored, and shows them again."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise errors.Invalid("the master key must have 256 bits")
        self._cipher = AESGCM(key)
        self._digest_key = hmac.digest(key, b"digest", "sha256")
        self._deriving_key = hmac.digest(key, b"derive", "sha256")

    def hide(self, secret: Secret) -> Json:
        """Return a JSON value that holds `secret` sealed."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, secret.reveal().encode(), None)
        return {_SEALED: b64encode(nonce + sealed).decode()}

    def show(self, data: Json) -> Secret:
        """Return what `hide` hid; raise `Invalid` for anything else, or another key's."""
        try:
            raw = b64decode(data[_SEALED], validate=True)
            return Secret(self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], None).decode())
        except (KeyError, TypeError, ValueError, InvalidTag):
            raise errors.Invalid("is not sealed under this deployment's master key") from None

    def digest(self, text: str) -> str:
        """Return a fingerprint of `text` that tells nothing about the secrets in it."""
        return hmac.new(self._digest_key, text.encode(), hashlib.sha256).hexdigest()

    def derived(self, purpose: str) -> Secret:
        """Return 64 hexadecimal digits that follow from the master key, others for each purpose.

        They need not be kept anywhere, and tell nothing about that key or about each other.
        """
        return Secret(hmac.new(self._deriving_key, purpose.encode(), hashlib.sha256).hexdigest())


def wiped(data: Json) -> Json:
    """Return `data` with every sealed secret in it replaced: for records that are kept."""
    if isinstance(data, dict):
        if _SEALED in data:
            return {"$wiped": True}
        return {key: wiped(item) for key, item in data.items()}
    if isinstance(data, list):
        return [wiped(item) for item in data]
    return data


def from_conf(conf: cfg.ConfigOpts) -> Sealer:
    """Return the sealer of this deployment; raise `Invalid` saying what is wrong with its key."""
    name = conf[GROUP].master_key_file
    if not name:
        raise errors.Invalid("[secrets] master_key_file is not set: there is no default key")
    path = Path(name)
    try:
        if path.stat().st_mode & 0o077:
            raise errors.Invalid(f"{path} is readable by others: chmod 600 it")
        return Sealer(bytes.fromhex(path.read_text().strip()))
    except OSError as error:
        raise errors.Invalid(f"cannot read the master key {path}: {error.strerror}") from error
    except ValueError as error:
        raise errors.Invalid(f"{path} does not hold 64 hexadecimal digits") from error
