"""A real Swift for tests: from PyPI, one replica in a directory, with its interface of S3.

Its environment is made on first use and kept outside the checkout, as that of the clients is.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import requests

from dbaas.common import certificates
from dbaas.common.certificates import Authority
from tests.functional import clients

REQUIREMENTS = Path(__file__).parent / "swift-requirements.txt"
CACHE = Path(__file__).parent / "swift_cache.py"
USER, KEY = "dbaas:storer", "the-storers-own"
"""Who may enter every account, and has one; of S3 they are the access key and its secret."""
TENANT, TENANT_KEY = "elsewhere:tenant", "the-tenants-own"
"""Who may enter one account alone."""
BUCKET = "backups"
START_SECONDS = 60.0

_PIPELINE = (
    *("catch_errors", "gatekeeper", "healthcheck", "cache", "listing_formats", "bulk", "tempurl"),
    *("s3api", "tempauth", "copy", "slo", "dlo", "versioned_writes", "proxy-server"),
)
_KINDS = ("account", "container", "object")

_RINGS = """\
import sys
from swift.common.ring import RingBuilder

home, host, *ports = sys.argv[1:]
for kind, port in zip(("account", "container", "object"), ports):
    builder = RingBuilder(4, 1, 0)
    device = {"id": 0, "region": 1, "zone": 1, "ip": host, "port": int(port), "device": "d1"}
    builder.add_dev({**device, "weight": 1.0, "meta": ""})
    builder.rebalance(seed="1")
    builder.get_ring().save(f"{home}/{kind}.ring.gz")
"""

Sections = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Swift:
    """It answers at `url`: the accounts are below `/v1/`, S3's buckets below `/`."""

    url: str
    _processes: Sequence["subprocess.Popen[bytes]"] = ()
    cafile: str = ""
    """PEM of who signs its certificate; empty: it speaks without TLS."""

    def stop(self) -> None:
        """Be away from now on."""
        for process in self._processes:
            process.kill()
            process.wait()

    @property
    def auth_url(self) -> str:
        return f"{self.url}/auth/v1.0"

    def token(self, user: str = USER, key: str = KEY) -> tuple[str, str]:
        """Return the URL of the user's account, and a token."""
        named = {"X-Storage-User": user, "X-Storage-Pass": key}
        answer = requests.get(self.auth_url, headers=named, timeout=10, verify=self.cafile or True)
        assert answer.ok, answer.text
        return answer.headers["X-Storage-Url"], answer.headers["X-Storage-Token"]

    def configured(self) -> Mapping[str, Mapping[str, str]]:
        """Return the options of services that have backups here, by group."""
        trusted = {"cafile": self.cafile} if self.cafile else {}
        return {
            "storage_swift": trusted
            | {
                "auth_type": "v1password",
                "auth_url": self.auth_url,
                "username": USER,
                "password": KEY,
                "interface": "public",
            },
            "storage_s3": trusted
            | {
                "endpoint": self.url,
                "bucket": BUCKET,
                "access_key": USER,
                "secret_key": KEY,
            },
        }


@contextmanager
def running(
    home: Path, host: str = "127.0.0.1", port: int = 0, authority: Authority | None = None
) -> Iterator[Swift]:
    """Have a Swift in this directory; its processes are stopped by their ids.

    `authority`: who signs the certificate of its proxy, which speaks TLS then.
    """
    programs = clients.environment(REQUIREMENTS) / "bin"
    proxy, *ports = _free_ports(host, 1 + len(_KINDS))
    proxy = port or proxy
    tls = _certify(home, host, authority) if authority else {}
    _configure(home, host, proxy, ports, tls)
    rings = [str(programs / "python"), "-c", _RINGS, str(home), host, *map(str, ports)]
    done = subprocess.run(rings, capture_output=True, text=True, timeout=START_SECONDS)
    assert done.returncode == 0, done.stderr
    with ExitStack() as started:
        servers = {
            kind: started.enter_context(_server(programs, home, kind))
            for kind in (*_KINDS, "proxy")
        }
        scheme, cafile = ("https", str(home / "authority.pem")) if authority else ("http", "")
        for kind, at in zip(_KINDS, ports, strict=True):
            _wait_until_it_answers(f"http://{host}:{at}", servers[kind], home / f"{kind}.log")
        made = Swift(f"{scheme}://{host}:{proxy}", tuple(servers.values()), cafile)
        _wait_until_it_answers(made.url, servers["proxy"], home / "proxy.log", cafile)
        account, token = made.token()
        answer = requests.put(
            f"{account}/{BUCKET}",
            headers={"X-Auth-Token": token},
            timeout=START_SECONDS,
            verify=cafile or True,
        )
        assert answer.ok, answer.text
        yield made


def _free_ports(host: str, count: int) -> list[int]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((host, 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def _certify(home: Path, host: str, authority: Authority) -> Mapping[str, object]:
    """Return the options by which a server speaks TLS."""
    made = certificates.issue(authority, "swift", [host], [], days=1)
    Path(home, "authority.pem").write_text(authority.cert_pem)
    cert_file, key_file = home / "proxy.pem", home / "proxy.key"
    cert_file.write_text(made.cert_pem)
    key_file.write_text(made.key_pem.reveal())
    return {"cert_file": cert_file, "key_file": key_file}


def _configure(
    home: Path, host: str, proxy: int, ports: list[int], tls: Mapping[str, object]
) -> None:
    Path(home, "devices", "d1").mkdir(parents=True)
    affixes = {"swift_hash_path_suffix": "tests", "swift_hash_path_prefix": "tests"}
    policy = {"name": "Policy-0", "default": "yes"}
    _write(home / "swift.conf", {"swift-hash": affixes, "storage-policy:0": policy})
    common = {
        "user": getpass.getuser(),
        "swift_dir": home,
        "devices": home / "devices",
        "mount_check": "false",
        "disable_fallocate": "true",
        "bind_ip": host,
        "workers": 0,
        "log_level": "INFO",
        "log_statsd_host": "",
    }
    for kind, port in zip(_KINDS, ports, strict=True):
        sections: dict[str, Mapping[str, object]] = {
            "DEFAULT": common | {"bind_port": port},
            "pipeline:main": {"pipeline": f"{kind}-server"},
            f"app:{kind}-server": {"use": f"egg:swift#{kind}"},
        }
        _write(home / f"{kind}.conf", sections)
    shutil.copy(CACHE, home)
    _write(home / "proxy.conf", _proxy({**common, "bind_port": proxy, **tls}))


def _proxy(default: Mapping[str, object]) -> Sections:
    """The filters are those of a deployment; the users are in the configuration."""
    filters: dict[str, Mapping[str, object]] = {
        name: {"use": f"egg:swift#{name}"} for name in _PIPELINE[:-1]
    }
    users = {
        f"user_{USER.replace(':', '_')}": f"{KEY} .admin .reseller_admin",
        f"user_{TENANT.replace(':', '_')}": f"{TENANT_KEY} .admin",
    }
    filters["tempauth"] = {"use": "egg:swift#tempauth"} | users
    filters["cache"] = {"paste.filter_factory": "swift_cache:filter_factory"}
    filters["s3api"] = {"use": "egg:swift#s3api", "location": "us-east-1"}
    app = {"use": "egg:swift#proxy", "account_autocreate": "true", "allow_account_management": True}
    return {
        "DEFAULT": default,
        "pipeline:main": {"pipeline": " ".join(_PIPELINE)},
        "app:proxy-server": app,
        **{f"filter:{name}": options for name, options in filters.items()},
    }


def _write(path: Path, sections: Sections) -> None:
    lines = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in options.items()), ""]
    path.write_text("\n".join(lines))


@contextmanager
def _server(programs: Path, home: Path, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    files = (programs / "python", programs / f"swift-{kind}-server", home / f"{kind}.conf")
    command = [*map(str, files), "-v"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(home)}
    with (
        Path(home, f"{kind}.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=home, env=env) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _wait_until_it_answers(
    url: str, process: subprocess.Popen[bytes], log: Path, cafile: str = ""
) -> None:
    expired = time.monotonic() + START_SECONDS
    while time.monotonic() < expired and process.poll() is None:
        try:
            answer = requests.get(f"{url}/healthcheck", timeout=5, verify=cafile or True)
            if answer.status_code < HTTPStatus.BAD_GATEWAY:
                return
        except requests.RequestException:
            time.sleep(0.05)
    raise AssertionError(log.read_text()[-4000:])
