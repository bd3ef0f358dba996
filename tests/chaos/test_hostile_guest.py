"""Root in one guest gains nothing in another, nor in the control plane.

A real stack with two conductors; the attacks use what is on a guest's own disk, from within its
network. After each of them the catalog's foreign rows are as they were, and it is known who it was.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus

import amqp
import pytest
import requests

from dbaas.catalog.guests import SHUT_OUT
from dbaas.manage.stack import supervisor
from dbaas.manage.stack.broker import BROKER
from dbaas.rpc import envelope
from dbaas.rpc.broker import Broker
from tests.chaos import hostile, neighbour, probes
from tests.chaos.flood import Order
from tests.chaos.hostile import Enemy
from tests.chaos.probes import Waiting
from tests.frozen import frozen
from tests.functional import guest as guests
from tests.functional import place
from tests.functional import stack as stacks
from tests.functional.guest import AGENT, Guest
from tests.functional.stack import Stack
from tests.outcomes import Part, Tell

CONDUCTORS = 2
SILENT = 200
"""Connections that say nothing."""
EVENTS = "dbaas_guest_events_total"
PATIENCE = 30.0
LATE = 5.0
"""Seconds that a neighbour's heartbeat may be late."""

_MOVING = {
    "guest_health": ("seq", "uptime", "heard_at", "volume_used", "progress"),
    "operations": ("run_at", "owner", "epoch", "lease_until", "updated_at"),
    "commands": ("sent_at",),
}
"""What changes by itself: by a neighbour's own heartbeats, and while an operation waits."""

_OF_NOBODY = ("alembic_version", "leases")
"""Tables with nothing of a guest's or a tenant's."""

_REFUSED = "the broker refuses each, and logs the guest's user"
_UNHEARD = "each is refused, counted, and logged with the guest's name; no foreign row changes"

REFUSALS = (amqp.AccessRefused, amqp.NotAllowed, amqp.PreconditionFailed)


@dataclass
class Site:
    """A stack with a guest that was taken over, and its neighbours."""

    stack: Stack
    enemy: Enemy
    victim: Guest
    broker: Broker
    known: dict[str, object] = field(default_factory=dict)
    """What was foreign when it was looked at last."""
    passed: Counter[str] = field(default_factory=Counter)
    """How many probes ended as they ought to, by group."""

    def counted(self, kind: str) -> int:
        """Return what the conductors counted together."""
        return sum(guests.figure(self.stack, n, EVENTS, kind) for n in self.conductors())

    def conductors(self) -> list[str]:
        return [name for name in self.stack.plan.metrics if name.startswith("dbaas-conductor")]

    def logged(self, *programs: str) -> str:
        """Return what these programs have logged."""
        return "".join(
            supervisor.log_file(self.stack.plan.logs, name).read_text(errors="replace")
            for name in programs
        )

    def foreign(self) -> dict[str, object]:
        """Return everything in the catalog that is not the enemy's own."""
        found: dict[str, object] = {}
        with self.stack.catalog() as link, link.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            tables = {str(name) for row in cursor.fetchall() for name in row.values()}
            for table in sorted(tables.difference(_OF_NOBODY)):
                cursor.execute(f"SELECT * FROM {table}")
                found[table] = [
                    {key: value for key, value in row.items() if key not in _MOVING.get(table, ())}
                    for row in cursor.fetchall()
                    if self.enemy.instance not in map(str, row.values())
                ]
        return found

    def foreign_objects(self) -> set[str]:
        """Return everything in the broker that is not the enemy's own."""
        return {name for name in self.broker.objects() if self.enemy.instance not in name}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with (
        place.network_namespace() as namespace,
        place.inside(namespace),
        stacks.directory() as stack,
    ):
        stack.command("up", "--count", f"dbaas-conductor={CONDUCTORS}")
        with _site(stack) as site:
            yield site
        stack.command("down")
        stacks.assert_nothing_left(stack)


@contextmanager
def _site(stack: Stack) -> Iterator[Site]:
    mine = Guest(stack, stack.create("enemy"))
    contact = hostile.first_contact(stack, mine.instance_id)
    victim = Guest(stack, stack.create("victim"))
    for one in (mine, victim):
        stack.wait_until(one.instance_id, "ACTIVE")
    enemy = hostile.taken_over(mine, victim, contact)
    with guests.management(stack) as broker:
        yield Site(stack, enemy, victim, broker)


@pytest.fixture(scope="module")
def enemy(site: Site) -> Enemy:
    return site.enemy


@pytest.fixture(scope="module")
def same_objects(site: Site) -> Iterator[None]:
    """The broker's foreign objects are as they were, after all that was tried."""
    before = site.foreign_objects()
    yield
    assert site.foreign_objects() == before


@pytest.fixture
def nothing_foreign_changed(site: Site, same_objects: None) -> Iterator[None]:
    before = site.known or site.foreign()
    yield
    site.known = site.foreign()
    assert site.known == before


@pytest.fixture(autouse=True)
def look_anew(request: pytest.FixtureRequest, site: Site) -> Iterator[None]:
    """After a test that changes more than the enemy's own, what is foreign is as it is then."""
    yield
    if "nothing_foreign_changed" not in request.fixturenames:
        site.known.clear()


GROUPS = {
    "publishes where it may not": (probes.PUBLISHING, _REFUSED),
    "reads what is another's": (probes.READING, _REFUSED),
    "declares, deletes and binds, dead letters included": (probes.CHANGING, _REFUSED),
    "sends what is no message, or not in its name": (probes.FORGED, _UNHEARD),
    "answers commands of others, or its own wrongly": (probes.ANSWERS, _UNHEARD),
}
"""What a guest does, in words; and what comes of it."""


@pytest.fixture(scope="module", autouse=True)
def all_told(site: Site, tell: Tell) -> Iterator[None]:
    """Tell of those groups of probes of which all were tried."""
    yield
    for does, (tried, outcome) in GROUPS.items():
        if site.passed[does] == len(tried):
            tell(Part.HOSTILE, f"a guest {does}", f"{len(tried)} probes: {outcome}")


def count(site: Site, probe: str) -> None:
    site.passed[next(does for does, (tried, _) in GROUPS.items() if probe in tried)] += 1


unchanged = pytest.mark.usefixtures("nothing_foreign_changed")


def eventually(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.03)


# What the broker refuses


@unchanged
@pytest.mark.parametrize("attack", probes.BROKER)
def test_a_guest_may_not(site: Site, enemy: Enemy, attack: str) -> None:
    before = len(site.logged(BROKER))
    with enemy.connection() as link, pytest.raises(REFUSALS):
        probes.BROKER[attack](link.channel(), enemy)
    user = enemy.me.address.user
    eventually(lambda: user in site.logged(BROKER)[before:], "the broker's log names whom")
    count(site, attack)


@unchanged
def test_a_guest_may_publish_to_no_exchange_but_its_own(site: Site, enemy: Enemy) -> None:
    listed = site.stack.command("rabbitmqctl", "-q", "list_exchanges", "-p", "guest", "name")
    exchanges = {"", *listed.stdout.split("\n")[1:]} - {enemy.exchange}
    assert {"cmd", enemy.their_exchange, "amq.topic"} < exchanges
    for exchange in exchanges:
        with enemy.connection() as link, pytest.raises(amqp.AccessRefused):
            probes.publish(link.channel(), exchange, "x")


@unchanged
def test_all_that_a_guest_learns_of_another_is_how_long_its_queue_is(enemy: Enemy) -> None:
    with enemy.connection() as link:
        told = link.channel().queue_declare(enemy.their_queue, passive=True)
        assert told == (enemy.their_queue, told.message_count, told.consumer_count)
    with enemy.connection() as link, pytest.raises(amqp.NotFound):
        link.channel().queue_declare("agent.nobody", passive=True)


@unchanged
@pytest.mark.parametrize("vhost", ["ctl", "/", "guest2"])
def test_a_guest_enters_no_other_virtual_host(site: Site, enemy: Enemy, vhost: str) -> None:
    before = len(site.logged(BROKER))
    with pytest.raises(REFUSALS):
        enemy.connect(vhost=vhost)
    user = enemy.me.address.user
    eventually(lambda: user in site.logged(BROKER)[before:], "the broker's log names whom")


@unchanged
@pytest.mark.parametrize("name", ["another guest", "first contact", "control", "guest"])
def test_a_guest_is_nobody_else(enemy: Enemy, name: str) -> None:
    users = {
        "another guest": (f"g-{enemy.victim.instance_id}", enemy.me.address.password),
        "first contact": (enemy.contact.user, enemy.contact.password),
        "control": ("control", enemy.me.address.password),
        "guest": ("guest", enemy.contact.password),
    }
    user, password = users[name]
    with pytest.raises(REFUSALS):
        enemy.connect(user=user, password=password)


@unchanged
def test_a_guest_has_four_connections_and_eight_channels(site: Site, enemy: Enemy) -> None:
    before = len(site.logged(BROKER))
    with ExitStack() as links:
        for _ in range(3):  # its agent has the fourth
            links.enter_context(enemy.connection())
        with pytest.raises(REFUSALS):
            enemy.connect()
    with enemy.connection() as link, pytest.raises(REFUSALS):
        [link.channel() for _ in range(8)]  # its agent has some
    user = enemy.me.address.user
    eventually(lambda: user in site.logged(BROKER)[before:], "the broker's log names whom")


# What the network and other services refuse


@unchanged
def test_a_guest_reaches_no_listener_but_the_brokers_and_the_depots(
    site: Site, tell: Tell, enemy: Enemy
) -> None:
    where = enemy.me.address
    ours = hostile.listening()
    with place.inside(f"/proc/{site.victim.processes(AGENT)[0]}/ns/net"):
        theirs = hostile.listening()
    assert len(ours) > 6, "the API, the catalog, the broker, the management API, figures"
    assert 3306 in theirs
    doors = [(where.host, port) for port in ours]
    doors += [(address, port) for address in _addresses(site.victim) for port in theirs]
    with enemy.inside():
        assert _open(doors) == {(where.host, where.port), (where.host, site.stack.plan.ports.depot)}
    tell(
        Part.HOSTILE,
        "a guest looks for other listeners: of the host, of the control plane, of its neighbour",
        "none can be reached but the broker's for guests, by TLS, and the depot's",
    )


def _addresses(guest: Guest) -> list[str]:
    shown = guest.stack.request("GET", f"instances/{guest.instance_id}").body["instance"]
    return [str(item["address"]) for item in shown["addresses"]]


def _open(doors: Iterable[tuple[str, int]], seconds: float = 2.0) -> set[tuple[str, int]]:
    """Return those that take a connection within these seconds."""
    found = set()
    with ExitStack() as sockets, selectors.DefaultSelector() as waiting:
        for host, port in doors:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            one = sockets.enter_context(socket.socket(family))
            one.setblocking(False)
            one.connect_ex((host, port))
            waiting.register(one, selectors.EVENT_WRITE, (host, port))
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                one = key.fileobj  # type: ignore[assignment] # we registered sockets
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.add(key.data)
                waiting.unregister(one)
    return found


@unchanged
def test_a_guest_must_use_tls(enemy: Enemy) -> None:
    where = enemy.me.address
    with enemy.inside(), socket.create_connection((where.host, where.port), timeout=10) as plain:
        plain.sendall(b"AMQP\0\0\x09\x01")
        with suppress(ConnectionError):
            assert b"RabbitMQ" not in plain.recv(4096)


@unchanged
@pytest.mark.parametrize("path", ["whoami", "users", "queues/guest", "definitions"])
def test_the_management_api_takes_no_guest_even_where_it_can_be_reached(
    site: Site, enemy: Enemy, path: str
) -> None:
    where = enemy.me.address
    login = (where.user, where.password.reveal())
    answer = requests.get(
        f"http://127.0.0.1:{site.stack.plan.ports.management}/api/{path}", auth=login, timeout=30
    )
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    policy = {"pattern": ".*", "definition": {"dead-letter-exchange": "cmd"}, "apply-to": "queues"}
    answer = requests.put(
        f"http://127.0.0.1:{site.stack.plan.ports.management}/api/policies/guest/mine",
        json=policy,
        auth=login,
        timeout=30,
    )
    assert answer.status_code == HTTPStatus.UNAUTHORIZED


@unchanged
def test_connections_that_say_nothing_keep_nobody_out(site: Site, tell: Tell, enemy: Enemy) -> None:
    where = enemy.me.address
    with ExitStack() as links:
        with enemy.inside():
            silent = [
                links.enter_context(socket.create_connection((where.host, where.port), timeout=10))
                for _ in range(SILENT)
            ]
        began = time.monotonic()
        other = hostile.taken_over(site.victim, enemy.guest, enemy.contact)
        hostile.close(other.connect())
        for one in silent:
            one.settimeout(PATIENCE)
            with suppress(ConnectionError):
                assert one.recv(1) == b""
    tell(
        Part.HOSTILE,
        f"a guest opens {SILENT} connections to the broker and says nothing",
        "others connect as before; the broker closes them",
        time.monotonic() - began,
    )


# What nobody believes


@unchanged
@pytest.mark.parametrize("said", probes.FORGED)
def test_nobody_believes(site: Site, enemy: Enemy, said: str) -> None:
    words = probes.FORGED[said]
    with is_refused(site, enemy.instance, words.reason):
        enemy.publish([words.make(enemy)], words.kind)
    count(site, said)


@contextmanager
def is_refused(site: Site, instance: str, reason: str, n: int = 1) -> Iterator[None]:
    """Expect that all of what is said meanwhile is refused: counted, and logged by name."""
    before = site.counted("refused")
    yield
    eventually(lambda: site.counted("refused") >= before + n, "it is counted")
    assert site.counted("refused") == before + n
    line = f"Refused a message of guest {instance}: {reason}"
    eventually(lambda: line in site.logged(*site.conductors()), "it is logged")


@unchanged
def test_nobody_believes_a_heartbeat_under_the_key_of_first_contact(
    site: Site, enemy: Enemy
) -> None:
    forged = enemy.sealed(hostile.BEAT, key=envelope.CONTACT, under=enemy.contact.key)
    with is_refused(site, enemy.instance, "not its key"):
        enemy.publish([forged])


@unchanged
def test_more_routing_keys_make_no_other_sender(site: Site, enemy: Enemy) -> None:
    keys = {"CC": [f"{enemy.their_exchange}.hb", enemy.their_queue], "BCC": [enemy.their_events]}
    forged = enemy.sealed(b"{}", instance=enemy.victim.instance_id)
    reason = "it names another instance than its exchange's"
    with is_refused(site, enemy.instance, reason):
        enemy.publish([forged], application_headers=keys)


@unchanged
def test_a_replay_changes_nothing_and_is_counted(site: Site, tell: Tell, enemy: Enemy) -> None:
    beat = enemy.beat()
    before = site.counted("stale")
    enemy.publish([beat] * (2 * CONDUCTORS))
    eventually(lambda: site.counted("stale") > before, "it is counted")
    line = f"A heartbeat of guest {enemy.instance} is older than one before it"
    eventually(lambda: line in site.logged(*site.conductors()), "it is logged")
    tell(Part.HOSTILE, "a guest repeats an old heartbeat", "it changes nothing, and is counted")


@unchanged
def test_a_heartbeat_of_the_far_future_locks_out_who_said_it(site: Site, enemy: Enemy) -> None:
    enemy.publish([enemy.beat()[:0] + enemy.sealed(hostile.BEAT, boot=(1 << 63) - 1)])
    select = f"SELECT boot FROM guest_health WHERE instance_id = '{enemy.instance}'"
    eventually(lambda: site.stack.sql(select)[0]["boot"] == (1 << 63) - 1, "it is believed")


def test_former_keys_are_worth_nothing_and_whoever_locked_himself_out_is_heard_again(
    site: Site, tell: Tell, enemy: Enemy
) -> None:
    former = enemy.me
    rotate_keys(site, enemy.guest)
    enemy.me = hostile.identity_of(enemy.guest)
    assert enemy.me.key_id == "k2"
    with pytest.raises(REFUSALS):
        enemy.connect(user=former.address.user, password=former.address.password)
    boot = int(time.time()) + 2000
    enemy.publish([enemy.sealed(hostile.BEAT, boot=boot) for _ in range(2 * CONDUCTORS)])
    with is_refused(site, enemy.instance, "not its key"):
        enemy.publish([enemy.sealed(hostile.BEAT, key=former.key_id, under=former.event_key)])
    with is_refused(site, enemy.instance, "not sealed under its key"):
        enemy.publish([enemy.sealed(hostile.BEAT, under=former.event_key)])
    select = f"SELECT boot FROM guest_health WHERE instance_id = '{enemy.instance}'"
    eventually(lambda: site.stack.sql(select)[0]["boot"] == boot, "it is believed")
    tell(
        Part.HOSTILE,
        "a guest says that it comes from the far future",
        "only it is not heard any more, until an administrator rotates its keys; the former ones "
        "are refused",
    )


def rotate_keys(site: Site, guest: Guest) -> None:
    """Give the guest other keys, as an administrator does; return when that is done."""
    path = f"mgmt/instances/{guest.instance_id}/action"
    answer = site.stack.request("POST", path, {"rotate-keys": {}}, user="admin")
    assert answer.status == HTTPStatus.ACCEPTED, answer
    query = (
        f"SELECT state FROM operations WHERE instance_id = '{guest.instance_id}'"
        " AND kind = 'rotate_keys' ORDER BY created_at DESC LIMIT 1"
    )
    eventually(lambda: site.stack.sql(query)[0]["state"] == "succeeded", "other keys")


@unchanged
def test_what_a_guest_logs_stays_on_its_line(site: Site, enemy: Enemy) -> None:
    text = "x\r\n2026-01-01 00:00:00.000 1 ERROR forged \x1b[31m\x00\u2028\u202e\ud83d\ude00"
    line = json.dumps({"level": "error", "text": text}).encode()
    before = site.counted("remark")
    enemy.publish([enemy.sealed(line, "log")] * 15, "log")
    eventually(lambda: site.counted("remark") == before + 15, "they are counted")
    logged = site.logged(*site.conductors())
    lines = [one for one in logged.splitlines() if "ERROR forged" in one]
    assert 0 < len(lines) <= 10 * CONDUCTORS, "what is beyond ten a minute is only counted"
    assert all(f"Guest {enemy.instance} says: x\\r\\n2026" in one for one in lines)
    assert logged.isprintable() or not {"\x1b", "\x00", "\r", "\u202e"} & set(logged)


# Too much of everything


@pytest.fixture
def flooder(site: Site) -> Iterator[Guest]:
    """One more guest that was taken over; in the end it is deleted."""
    stack = site.stack
    instance = stack.wait_until(stack.create("flooder"), "ACTIVE")["id"]
    yield Guest(stack, instance)
    assert stack.request("DELETE", f"instances/{instance}").status == HTTPStatus.ACCEPTED
    stack.wait_until(instance, "GONE")


@pytest.mark.parametrize(("size", "kind"), [(100, "hb"), (1 << 20, "log")])
def test_who_floods_is_quarantined_while_neighbours_are_heard(
    site: Site, tell: Tell, flooder: Guest, size: int, kind: str
) -> None:
    stack, instance = site.stack, flooder.instance_id
    others = f"'{site.enemy.instance}', '{site.victim.instance_id}'"
    with neighbour.beside(stack, site.broker, instance) as beside:
        counted, real = site.counted("heartbeat"), said_by(stack, others)
        with neighbour.speaking(beside, stack, site.enemy.me.address):
            time.sleep(1.0)
            with flooding(flooder, size, kind) as began:
                eventually(lambda: state_of(stack, instance) == "quarantined", "a quarantine")
                seconds = time.monotonic() - began
            time.sleep(1.0)
        said = len(beside.said) + said_by(stack, others) - real
        eventually(lambda: site.counted("heartbeat") - counted >= said, "none is lost")
    assert beside.heard == max(beside.said)
    assert beside.late < LATE
    with pytest.raises(amqp.AccessRefused):
        hostile.taken_over(flooder, site.victim, site.enemy.contact).connect()
    line = f"Guest {instance} says too much: it is quarantined"
    logs = [site.logged(conductor) for conductor in site.conductors()]
    assert 1 <= sum(log.count(line) for log in logs) <= CONDUCTORS
    assert_explained(stack, instance)
    rotate_keys(site, flooder)
    eventually(lambda: health_of(stack, instance) == "HEALTHY", "it is heard again")
    assert "fault" not in stack.request("GET", f"instances/{instance}").body["instance"]
    tell(
        Part.HOSTILE,
        f"a guest sends messages of {size} bytes as fast as it can",
        "it is quarantined, once; no heartbeat of a neighbour in the same queue is lost, none late "
        f"by more than {beside.late:.1f} s; with rotated keys it is let in again",
        seconds,
    )


def assert_explained(stack: Stack, instance: str) -> None:
    """A quarantine shows: to the tenant, and to the operator, for whom nothing is amiss."""
    shown = stack.request("GET", f"instances/{instance}").body["instance"]
    assert (shown["status"], shown["operating_status"]) == ("ACTIVE", "ERROR")
    assert shown["fault"]["message"] == SHUT_OUT
    refused = stack.request("POST", f"instances/{instance}/action", {"restart": {}})
    assert refused.status == HTTPStatus.UNPROCESSABLE_ENTITY
    audit = stack.manage("audit", check=False)
    assert audit.returncode == 0, audit.stdout
    assert instance in stack.manage("guest", "list", "--state", "quarantined").stdout


def health_of(stack: Stack, instance: str) -> str:
    shown = stack.request("GET", f"instances/{instance}").body["instance"]
    return str(shown["operating_status"])


def state_of(stack: Stack, instance: str) -> str:
    return str(stack.sql(f"SELECT state FROM guests WHERE instance_id='{instance}'")[0]["state"])


def said_by(stack: Stack, instances: str) -> int:
    """Return how much real agents said, by the numbers of their last heartbeats."""
    query = f"SELECT SUM(seq) AS n FROM guest_health WHERE instance_id IN ({instances})"
    return int(stack.sql(query)[0]["n"])


@contextmanager
def flooding(guest: Guest, size: int, kind: str) -> Iterator[float]:
    """Have the guest send all that it can, until it is thrown out; give when it began."""
    me = hostile.identity_of(guest)
    where = me.address
    order = Order(
        where.host, where.port, where.user, where.password.reveal(), where.authority,
        f"evt.{guest.instance_id}", kind, size, connections=3,
    )  # fmt: skip
    space = f"/proc/{guest.processes(AGENT)[0]}/ns/net"
    command = ["nsenter", f"--net={space}", sys.executable, "-m", "tests.chaos.flood"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(asdict(order)).encode())
        process.stdin.close()
        assert process.stdout.readline() == b"connected\n"
        yield time.monotonic()
        assert int(process.stdout.read()) > 0
    assert process.returncode == 0


# Commands that wait for their answer


@pytest.fixture(scope="module")
def waiting(site: Site) -> Iterator[Waiting]:
    """Have a command wait at either guest, whose agents are frozen; in the end both are done."""
    stack, ids = site.stack, (site.enemy.instance, site.victim.instance_id)
    agents = [pid for guest in (site.enemy.guest, site.victim) for pid in guest.processes(AGENT)]
    with frozen(*agents):
        for instance in ids:
            answer = stack.request("POST", f"instances/{instance}/action", {"restart": {}})
            assert answer.status == HTTPStatus.ACCEPTED, answer
        site.known.clear()
        yield Waiting(*(_command(stack, instance) for instance in ids))
    for instance in ids:
        stack.wait_until(instance, "ACTIVE")


def _command(stack: Stack, instance: str) -> str:
    query = f"SELECT id FROM commands WHERE instance_id = '{instance}'"
    eventually(lambda: stack.sql(query), "a command")
    return str(stack.sql(query)[0]["id"])


@unchanged
@pytest.mark.parametrize("said", probes.ANSWERS)
def test_nobody_waits_for(site: Site, enemy: Enemy, waiting: Waiting, said: str) -> None:
    answer = probes.ANSWERS[said]
    with is_refused(site, enemy.instance, answer.reason):
        enemy.publish([answer.make(enemy, waiting)], "result")
    rows = site.stack.sql(f"SELECT state FROM commands WHERE id = '{waiting.mine}'")
    assert [row["state"] for row in rows] == ["sent"]
    count(site, said)
