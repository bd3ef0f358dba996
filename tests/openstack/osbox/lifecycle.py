"""Brings the box up, in the shortest order that its parts allow, and takes it down."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from dbaas.contract import errors
from dbaas.host import files
from dbaas.manage.stack import supervisor
from dbaas.manage.stack.supervisor import Supervisor
from tests.openstack.osbox import (
    backing,
    cinder,
    content,
    databases,
    glance,
    keystone,
    libvirt,
    links,
    mariadb,
    namespaces,
    neutron,
    nova,
    packages,
    swift,
    tenants,
)
from tests.openstack.osbox.agents import Agents
from tests.openstack.osbox.place import HOME
from tests.openstack.osbox.service import Service
from tests.openstack.osbox.tasks import Say, Task, Tasks

MODULES = (mariadb, backing, libvirt, keystone, glance, nova, neutron, cinder, swift)

AFTER: dict[str, tuple[str, ...]] = {
    "libvirtd": ("links",),
    "keystone": ("bootstrap",),
    "neutron-server": ("schema neutron", "memcached"),
    "placement": ("schema placement",),
    "glance-api": ("schema glance", "keystone"),
    "nova-api": ("cells", "memcached"),
    "nova-conductor": ("cells", "placement", "tenants", "rabbitmq"),
    "nova-scheduler": ("cells", "placement", "tenants", "rabbitmq"),
    "nova-compute": ("libvirtd", "nova-conductor"),
    "neutron-linuxbridge": ("neutron-server", "links", "rabbitmq"),
    "neutron-dhcp": ("neutron-server", "links", "rabbitmq"),
    "cinder-api": ("schema cinder", "keystone", "rabbitmq"),
    "cinder-scheduler": ("schema cinder", "keystone", "rabbitmq"),
    "cinder-volume": ("schema cinder", "keystone", "rabbitmq"),
    **{f"swift-{kind}": ("keystone",) for kind in ("proxy", "account", "container", "object")},
    "swift-updater": ("swift-account", "swift-container"),
}
"""What a service is started after; the longest way is that of Neutron's agents."""

LOCK_SECONDS = 900.0
STOP_SECONDS = 60.0


def install(say: Say) -> None:
    """Install Debian's packages and make the template of the databases, where that is missing."""
    with _alone():
        say(f"packages: {packages.install()} were missing")
        if not databases.has_template() and namespaces.first_process() is None:
            _make_template(say)


def _make_template(say: Say) -> None:
    """Begin a cloud whose databases alone run, and keep those; what cloud there was is removed."""
    _remove_state()
    _configure()
    namespaces.make()
    try:
        _do_inside(_fill_databases, say)
        Supervisor(HOME).stop(["keystone", "mariadb"], STOP_SECONDS)
        databases.keep_template()
    finally:
        namespaces.remove()
        _remove_state()


def up(say: Say) -> None:
    """Start what does not run and return when all of it serves."""
    with _alone():
        if not databases.has_template():
            raise errors.Conflict("the box is not installed: `install` does that")
        _configure()
        if namespaces.first_process() is None:
            backing.forget_queues()
            namespaces.make()
        _do_inside(_start_everything, say)


def down() -> None:
    """End everything; the state stays, and servers are then like after a power cut."""
    with _alone():
        _stop()


def reset(say: Say) -> None:
    """Begin a new cloud."""
    with _alone():
        _stop()
        _remove_state()
    up(say)


def destroy() -> None:
    """Remove everything but the packages."""
    with _alone():
        _stop()
    shutil.rmtree(HOME.directory)


def _stop() -> None:
    """MariaDB alone has something to write at its end."""
    if namespaces.first_process() is not None:
        Supervisor(HOME).stop(["mariadb"], STOP_SECONDS)
    namespaces.remove()


def _do_inside(work: Callable[[Say], None], say: Say) -> None:
    if not namespaces.do_inside(partial(work, say)):
        raise errors.Failed(f"the box is not up; logs are in {HOME.logs}")


def _remove_state() -> None:
    shutil.rmtree(HOME.state, ignore_errors=True)


def _configure() -> None:
    for directory in (HOME.settings, HOME.logs, HOME.run, HOME.cache):
        directory.mkdir(parents=True, exist_ok=True)
    for module in MODULES:
        module.configure()
    supervisor.configure(HOME, [service.program for service in _services()])


def _services() -> list[Service]:
    return [service for module in MODULES for service in module.services()]


def _fill_databases(say: Say) -> None:
    tasks = Tasks(say)
    wanted = ("mariadb", "memcached", "bootstrap", "keystone", "tenants")
    known = _tasks(tasks)
    schemas = databases.schema_tasks()
    tasks.carry_out({name: known[name] for name in (*schemas, *wanted)})


def _start_everything(say: Say) -> None:
    tasks = Tasks(say)
    tasks.carry_out(_tasks(tasks) | _content() | _reports(tasks))


def _tasks(tasks: Tasks) -> dict[str, Task]:
    """Return what starts the services, and what that needs."""
    starting = {
        service.name: Task(partial(_start, tasks, service), AFTER.get(service.name, ()))
        for service in _services()
    }
    return {
        **databases.schema_tasks(),
        **starting,
        "mariadb": Task(partial(_start_mariadb, tasks)),
        "links": Task(links.make),
        "bootstrap": _once("bootstrap", keystone.bootstrap, "schema keystone", "memcached"),
        "tenants": _once("tenants", tenants.make, "keystone"),
    }


def _start(tasks: Tasks, service: Service) -> None:
    Supervisor(HOME).start(service.name)
    tasks.wait(service.name, service.serves)


def _start_mariadb(tasks: Tasks) -> None:
    databases.prepare()
    (server,) = mariadb.services()
    _start(tasks, server)
    databases.once("databases", mariadb.make_databases)


def _content() -> dict[str, Task]:
    return {
        "flavors": _once("flavors", content.make_flavors, "nova-api", "tenants"),
        "volume type": _once("volume-type", content.make_volume_type, "cinder-api", "tenants"),
        "networks": _once("networks", content.make_networks, "neutron-server", "links", "tenants"),
    }


def _once(mark: str, make: Callable[[], None], *after: str) -> Task:
    return Task(partial(databases.once, mark, make), after)


def _reports(tasks: Tasks) -> dict[str, Task]:
    agents = Agents(tasks)
    of_swift = ("swift-proxy", "swift-account", "swift-container", "swift-object")
    return {
        "network": Task(
            agents.wait_for_network, ("neutron-linuxbridge", "neutron-dhcp", "networks")
        ),
        "compute": Task(agents.wait_for_compute, ("nova-api", "nova-compute", "nova-scheduler")),
        "volumes": Task(
            agents.wait_for_volumes, ("cinder-scheduler", "cinder-volume", "volume type")
        ),
        "objects": Task(agents.wait_for_objects, (*of_swift, "tenants")),
    }


@contextmanager
def _alone() -> Iterator[None]:
    """Keep others from starting or stopping the box meanwhile."""
    HOME.directory.mkdir(parents=True, exist_ok=True)
    with files.lock(HOME.directory / "lock", timeout=LOCK_SECONDS):
        yield
