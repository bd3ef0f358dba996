"""Storages as they are used: the depot, and OpenStack's Swift with its own interface and S3's."""

import hashlib
import http.client
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from oslo_config import cfg

from dbaas.common import sealing
from dbaas.contract.messages import Grant, Segment
from dbaas.strategies.grants import vaults
from dbaas.strategies.grants.base import Vault
from dbaas.strategies.storage.base import url

PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Storage:
    """A storage that runs, and the control plane's half of it."""

    vault: Vault
    stop: Callable[[], object]
    """It is away from then on."""
    settings: str = ""
    """The options by which the vault was made."""


def send(
    method: str,
    address: str,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Do what anybody can who has a URL."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, content, dict(headers or {}))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, told, answer.read())
    finally:
        connection.close()


def address(grant: Grant, name: str) -> str:
    """Return the URL by which a grant gives leave for an object."""
    found = url(grant, quote(name))
    assert found is not None
    return found.reveal()


def segment(name: str, content: bytes) -> Segment:
    return Segment(
        name, len(content), hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it does not listen"
        time.sleep(0.05)


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(PATIENCE)


def load(directory: Path, text: str) -> tuple[Path, Vault]:
    """Return a configuration file, and the vault that it describes."""
    key = directory / "master.key"
    if not key.exists():
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
    file = directory / "dbaas.conf"
    file.write_text(f"{text}\n[secrets]\nmaster_key_file = {key}\n")
    conf = cfg.ConfigOpts()
    conf.register_opts(sealing.OPTS, group=sealing.GROUP)
    conf(["--config-file", str(file)], project="dbaas")
    return file, next(iter(vaults.load(conf, sealing.from_conf(conf)).values()))


@contextmanager
def depot(directory: Path, more: str = "") -> Iterator[Storage]:
    """Have a depot serve a directory; `more` are lines of its options."""
    port, store = free_port(), directory / "backups"
    store.mkdir()
    text = (
        f"[storage_local]\ndirectory = {store}\nurl = http://127.0.0.1:{port}\n"
        f"[depot]\nbind_port = {port}\n{more}"
    )
    file, vault = load(directory, text)
    command = [sys.executable, "-m", "dbaas.depot.service", "--config-file", str(file)]
    process = subprocess.Popen(command)
    try:
        wait_until_listening(port, process)
        yield Storage(vault, lambda: shutil.move(store, directory / "away"))
    finally:
        end(process)
