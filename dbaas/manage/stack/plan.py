"""What one stack has for its own on this host: a directory, a subnet, ports; chosen once."""

import dataclasses
import hashlib
import json
import random
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, files

PORTS = range(20000, 30000)
"""Below the ports that Linux gives to outgoing connections, so that none of those takes ours."""

LONGEST_DIRECTORY, LONGEST_WITHOUT_ROOT = 80, 62
"""Characters: the path of a unix socket may have 107 (unix(7)), and the sockets lie within it, also
those of guests that are processes of an ordinary user."""


@dataclass(frozen=True)
class Ports:
    """All on 127.0.0.1, but `guests` and `depot`, which are on the bridge."""

    api: int
    catalog: int
    broker: int
    management: int
    names: int
    """Erlang's port mapper."""
    distribution: int
    guests: int
    """Where guests reach the broker."""
    depot: int
    """Where they reach the directory of backups; 0 in a plan that is older than it."""


OF_GUESTS = ("guests", "depot")
"""Ports that running guests know."""


@dataclass(frozen=True)
class Plan:
    """A stack's share of the host; the paths of everything in its directory."""

    directory: Path
    subnet: IPv4Network
    ports: Ports
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many of a service run, where it is not one."""
    metrics: Mapping[str, int] = field(default_factory=dict)
    """The ports at which services but the API show their figures, by the name of the program."""
    apis: Mapping[str, int] = field(default_factory=dict)
    """The ports of several APIs, by the name of the program; `ports.api` is then their proxy's."""

    @property
    def id(self) -> str:
        """Eight hexadecimal digits, the same for a directory for ever."""
        return _digest(self.directory).hex()[:8]

    @property
    def isolates(self) -> bool:
        """Whether guests are namespaces; without root they are mere processes."""
        return not self.subnet.is_loopback

    @property
    def bridge_address(self) -> IPv4Address:
        """Where guests find the broker: the first address of the subnet."""
        return self.subnet[1]

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.api}"

    @property
    def broker(self) -> Path:
        return self.directory / "broker"

    @property
    def catalog(self) -> Path:
        return self.directory / "catalog"

    @property
    def logs(self) -> Path:
        return self.directory / "log"

    @property
    def cloud(self) -> Path:
        return self.directory / "cloud"

    @property
    def backups(self) -> Path:
        return self.directory / "backups"

    @property
    def depot_url(self) -> str:
        return f"http://{self.bridge_address}:{self.ports.depot}"

    @property
    def configuration(self) -> Path:
        return self.directory / "dbaas.conf"

    @property
    def local_configuration(self) -> Path:
        """What the operator sets beyond `configuration`; the stack never writes it."""
        return self.directory / "local.conf"

    def own_configuration(self, program: str) -> Path:
        """What only this one of the services reads."""
        return self.directory / f"{program}.conf"

    @property
    def supervisor_configuration(self) -> Path:
        return self.directory / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        return self.directory / "supervisord.sock"

    def openrc(self, user: str) -> Path:
        return self.directory / ("openrc" if user == "demo" else f"openrc-{user}")


def load(directory: Path) -> Plan | None:
    """Return the plan that was made for this directory, if any was."""
    directory = directory.resolve()
    try:
        known = json.loads(_file(directory).read_text())
    except FileNotFoundError:
        return None
    ports = Ports(**{"depot": 0, **known["ports"]})
    subnet = IPv4Network(known["subnet"])
    kept = {name: known.get(name, {}) for name in ("counts", "metrics", "apis")}
    return Plan(directory, subnet, ports, **kept)


def choose(directory: Path, *, isolates: bool) -> Plan:
    """Make and keep a plan that collides with nothing which this host has at the moment."""
    directory = directory.resolve()
    if len(str(directory)) > (LONGEST_DIRECTORY if isolates else LONGEST_WITHOUT_ROOT):
        raise errors.Invalid(
            f"{directory} is too long a path for a stack: use --dir with a shorter one"
        )
    free = _free_ports(directory, set())
    plan = Plan(
        directory,
        _free_subnet(directory) if isolates else _loopback_subnet(directory),
        Ports(**{field.name: next(free) for field in dataclasses.fields(Ports)}),
    )
    directory.mkdir(parents=True, exist_ok=True)
    _save(plan)
    return plan


def avoid_taken_ports(plan: Plan) -> Plan:
    """Move off the ports that another program took while the stack was down.

    Those of guests stay: running guests know them, and nobody else has the bridge's address.
    """
    ports = dataclasses.asdict(plan.ports)
    taken = [
        name
        for name, port in ports.items()
        if not port or (name not in OF_GUESTS and not _is_free(port))
    ]
    if not taken:
        return plan
    free = _free_ports(plan.directory, set(ports.values()))
    moved = dataclasses.replace(plan, ports=Ports(**ports | {name: next(free) for name in taken}))
    _save(moved)
    return moved


def with_ports(plan: Plan, measured: Collection[str], apis: Collection[str]) -> Plan:
    """Have a port for the figures of each of these programs, and for each of several APIs.

    A port is kept as long as it is free.
    """
    taken = {*dataclasses.asdict(plan.ports).values(), *plan.metrics.values(), *plan.apis.values()}
    free = _free_ports(plan.directory, taken)
    changed = dataclasses.replace(
        plan,
        metrics=_completed(plan.metrics, measured, free),
        apis=_completed(plan.apis, apis, free) if len(apis) > 1 else {},
    )
    if changed != plan:
        _save(changed)
    return changed


def _completed(
    known: Mapping[str, int], programs: Collection[str], free: Iterator[int]
) -> Mapping[str, int]:
    ports = {}
    for name in programs:
        port = known.get(name)
        ports[name] = port if port is not None and _is_free(port) else next(free)
    return ports


def with_counts(plan: Plan, counts: Mapping[str, int]) -> Plan:
    """Change how many of these services run; it is kept."""
    changed = dataclasses.replace(plan, counts={**plan.counts, **counts})
    if changed != plan:
        _save(changed)
    return changed


def _file(directory: Path) -> Path:
    return directory / "stack.json"


def _save(plan: Plan) -> None:
    known = {
        "subnet": str(plan.subnet),
        "ports": dataclasses.asdict(plan.ports),
        "counts": plan.counts,
        "metrics": plan.metrics,
        "apis": plan.apis,
    }
    files.write(_file(plan.directory), json.dumps(known, indent=2) + "\n")


def _digest(directory: Path) -> bytes:
    return hashlib.sha256(str(directory).encode()).digest()


def _free_ports(directory: Path, taken: Collection[int]) -> Iterator[int]:
    """Yield free ports, in an order that differs between directories."""
    order = random.Random(_digest(directory)).sample(PORTS, len(PORTS))  # noqa: S311  # no secret
    yield from (port for port in order if port not in taken and _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_subnet(directory: Path) -> IPv4Network:
    taken = _routed()
    order = random.Random(_digest(directory)).sample(range(1 << 16), 1 << 16)  # noqa: S311
    for number in order:
        subnet = IPv4Network((int(IPv4Address("10.0.0.0")) + (number << 8), 24))
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise errors.OverQuota("every /24 of 10.0.0.0/8 is in use on this host")


def _loopback_subnet(directory: Path) -> IPv4Network:
    """Return some /24 of 127.0.0.0/8, but for the first, which everybody uses."""
    number = int.from_bytes(_digest(directory)[:4], "big") % ((1 << 16) - 1) + 1
    return IPv4Network((int(IPv4Address("127.0.0.0")) + (number << 8), 24))


def _routed() -> list[IPv4Network]:
    """Return every network that this host has an address in, or a route of its own to."""
    routes = json.loads(
        commands.run(["ip", "-4", "-json", "route", "show", "table", "all"], timeout=10)
    )
    networks = [
        IPv4Network(route["dst"], strict=False) for route in routes if route["dst"][0].isdigit()
    ]
    return [network for network in networks if network.prefixlen]
