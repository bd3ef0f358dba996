"""Servers of namespaces over a root file system of layers: what the local provider makes them of.

A server's directory holds what it changed of the root file system (`upper`), its console's text and
its first process's number.
"""

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbaas.cloud.base import Flavor, ServerOrder
from dbaas.cloud.local import bridge, disks, image, launch, processes
from dbaas.cloud.local.cgroups import MIB, Groups
from dbaas.cloud.local.networks import LocalNetworks
from dbaas.cloud.local.orders import Order
from dbaas.cloud.local.servers import KILL_TIMEOUT, LAUNCH_TIMEOUT, Record
from dbaas.cloud.local.settings import LAUNCH_LOCK, PID_FILE, Settings
from dbaas.cloud.local.volumes import LocalVolumes
from dbaas.cloud.rootfs import layer
from dbaas.contract import errors
from dbaas.host import commands, files

VOLUME = "/var/lib/dbaas/volume"
"""Where a guest finds its first volume; further ones have a number behind it, from 2."""

CONSOLE_LIMIT = 10 * MIB
"""Bytes of console text beyond which a start begins a new one."""

LAUNCHER = f"from {launch.__name__} import main; raise SystemExit(main())"

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class Namespaces:
    """Implements `servers.Body`."""

    def __init__(self, settings: Settings, volumes: LocalVolumes, networks: LocalNetworks) -> None:
        self.groups = Groups(settings.deployment)
        self._settings = settings
        self._volumes = volumes
        self._networks = networks

    def image(self) -> str:
        rootfs = image.location(self._settings.cache_dir)
        if not rootfs.is_dir():
            raise errors.NotFound(f"the guests' root file system is not at {rootfs}")
        return str(rootfs)

    def describe(self, order: ServerOrder) -> Record:
        found = self._networks.ports(order.ports)
        ports = [found[name] for name in order.ports]
        return {
            "addresses": [port.address for port in ports],
            "addresses6": [port.address6 for port in ports],
            "hostname": order.hostname or order.name,
            "rootfs": image.location(self._settings.cache_dir).name,
        }

    def build(self, order: ServerOrder, record: Record) -> None:
        for number, volume in enumerate(order.volumes):
            self._volumes.attach(volume, order.name, _mount_point(number))
        disks.make(self._settings, order.name, record, order.files)

    def launch(self, name: str, record: Record, size: Flavor) -> None:
        if not bridge.exists(self._settings.bridge_name):  # the host was started again
            self._networks.ensure()
        for volume in record["volumes"]:
            self._volumes.wait_until_released(volume)
        order = self._order(name, record, size)
        console = Path(order.console)
        if console.exists() and console.stat().st_size > CONSOLE_LIMIT:
            console.unlink()
        program = [sys.executable, "-S", "-c", LAUNCHER]
        environment = ENVIRONMENT | {"PYTHONPATH": str(layer.CHECKOUT)}
        try:
            commands.run(program, input=order.to_json(), timeout=LAUNCH_TIMEOUT, env=environment)
        except errors.Failed as error:
            raise errors.Failed(f"the guest could not be started: {error.text}") from error

    def _order(self, name: str, record: Mapping[str, Any], size: Flavor) -> Order:
        settings, directory = self._settings, self._settings.server_dir(name)
        rootfs = disks.rootfs(self._settings, record)
        addresses = list(zip(record["addresses"], record["addresses6"], strict=True))
        mounted = enumerate(record["volumes"])
        volumes = [(str(self._volumes.image(volume)), _mount_point(n)) for n, volume in mounted]
        return Order(
            record=str(self._settings.state_dir / "servers" / f"{name}.json"),
            launch=record["launch"],
            lock=str(directory / LAUNCH_LOCK),
            pid_file=str(self._pid_file(name)),
            console=str(self.console_file(name)),
            network=str(bridge.connect(settings, name, addresses)),
            groups=tuple(self.groups.make(name, size)),
            lower=(str(layer.ensure(settings.state_dir, rootfs)), str(rootfs)),
            upper=str(directory / "upper"),
            work=str(directory / "work"),
            root=str(directory / "root"),
            volumes=tuple(volumes),
            hostname=record["hostname"][:64],
            shared_memory=size.ram_mib * MIB // 2,
            command=("/usr/bin/tini", "--", *settings.command, str(round(settings.stop_timeout))),
            environment=tuple(ENVIRONMENT.items()),
            ipv6=any(record["addresses6"]),
        )

    def end(self, name: str, record: Record) -> None:
        """Take away all that only a running server has.

        Processes first: the name of an interface is free only when its namespace's users are gone.
        """
        directory = self._settings.server_dir(name)
        if directory.is_dir():
            with files.lock(directory / LAUNCH_LOCK, timeout=LAUNCH_TIMEOUT):
                self.kill(name)
                self._pid_file(name).unlink(missing_ok=True)
        bridge.disconnect(self._settings, name, len(record["addresses"]))
        self.groups.remove(name)
        for volume in record["volumes"]:
            self._volumes.wait_until_released(volume)

    def remove(self, name: str, record: Record) -> None:
        for volume in record["volumes"]:
            self._volumes.detach(volume, name)
        with suppress(FileNotFoundError):
            shutil.rmtree(self._settings.server_dir(name))

    def limit(self, name: str, size: Flavor) -> None:
        self.groups.change(name, size)

    def pid(self, name: str) -> int | None:
        return processes.running(self._pid_file(name))

    def shut_down(self, name: str) -> None:
        self.groups.thaw_if_frozen(name)
        handle = processes.send(self._pid_file(name), signal.SIGTERM)
        if handle is not None:
            os.close(handle)

    def wait(self, name: str, seconds: float) -> None:
        handle = processes.watch(self._pid_file(name))
        if handle is not None:
            processes.wait(handle, seconds)

    def kill(self, name: str) -> None:
        self.groups.thaw_if_frozen(name)
        if not processes.kill(self._pid_file(name), KILL_TIMEOUT):
            raise errors.Unavailable(f"{name} does not die")

    def console_file(self, name: str) -> Path:
        return self._settings.server_dir(name) / "console.log"

    def _pid_file(self, name: str) -> Path:
        return self._settings.server_dir(name) / PID_FILE


def _mount_point(number: int) -> str:
    return VOLUME if number == 0 else f"{VOLUME}{number + 1}"
