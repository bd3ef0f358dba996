"""Servers without root: process groups of the ordinary user, each with an address and a directory.

The directory is the guest's root by agreement only: nothing keeps its processes in it, and nothing
keeps them from those of other guests.
"""

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from dbaas.cloud.base import Flavor, ServerOrder
from dbaas.cloud.local.servers import KILL_TIMEOUT, LAUNCH_TIMEOUT, Record
from dbaas.cloud.loopback import family, init, templates
from dbaas.cloud.loopback.networks import LoopbackNetworks
from dbaas.cloud.loopback.settings import Settings
from dbaas.cloud.loopback.volumes import LoopbackVolumes
from dbaas.cloud.rootfs.layer import CHECKOUT
from dbaas.contract import errors
from dbaas.host import files, services
from dbaas.host.services import Service

VOLUME = "var/lib/dbaas/volume"
"""Where a guest finds its first volume; further ones have a number behind it, from 2."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProcessGroups:
    """Implements `dbaas.cloud.local.servers.Body`."""

    def __init__(
        self, settings: Settings, volumes: LoopbackVolumes, networks: LoopbackNetworks
    ) -> None:
        self._settings = settings
        self._volumes = volumes
        self._networks = networks

    def image(self) -> str:
        return f"this host's MariaDB {templates.series()}"

    def describe(self, order: ServerOrder) -> Record:
        ports = self._networks.ports(order.ports)
        return {"address": ports[order.ports[0]].address if ports else ""}

    def build(self, order: ServerOrder, record: Record) -> None:
        """Make its directory, with its volumes, the template and the files that it finds."""
        for volume in record["volumes"]:
            self._volumes.attach(volume, order.name)
        root = self._settings.root_dir(order.name)
        with suppress(FileNotFoundError):
            shutil.rmtree(root)
        root.mkdir(mode=0o700, parents=True)
        links = {templates.AT: templates.ensure(self._settings.state_dir)}
        for number, volume in enumerate(order.volumes, start=1):
            links[VOLUME if number == 1 else f"{VOLUME}{number}"] = self._volumes.path(volume)
        for at, target in links.items():
            (root / at).parent.mkdir(parents=True, exist_ok=True)
            (root / at).symlink_to(target)
        for path, content in order.files.items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            files.write(place, content.reveal(), mode=0o600)

    def launch(self, name: str, record: Record, size: Flavor) -> None:  # noqa: ARG002 # no limits
        services.start(self._service(name, record["launch"], record["address"]))

    def _service(self, name: str, launch: str = "", address: str = "") -> Service:
        root = self._settings.root_dir(name)
        agent = (sys.executable, "-m", "dbaas.guestagent", "--root", str(root))
        command = self._settings.command or (*agent, "--address", address)
        return Service(
            program=(
                *("env", f"{services.MARK}={root}", f"PATH={PATH}", f"PYTHONPATH={CHECKOUT}"),
                *(sys.executable, "-S", "-m", init.__name__),
                str(self._settings.state_dir / "servers" / f"{name}.json"),
                *(launch, str(root), str(self._settings.stop_timeout)),
                *command,
            ),
            record=root / "process",
            output=self.console_file(name),
        )

    def end(self, name: str, record: Record) -> None:  # noqa: ARG002 # its directory says it all
        root = self._settings.root_dir(name)
        if root.is_dir():
            with files.lock(root / init.LAUNCH_LOCK, timeout=LAUNCH_TIMEOUT):
                self.kill(name)
                (root / "process").unlink(missing_ok=True)

    def remove(self, name: str, record: Record) -> None:
        for volume in record["volumes"]:
            self._volumes.detach(volume, name)
        with suppress(FileNotFoundError):
            shutil.rmtree(self._settings.root_dir(name))

    def limit(self, name: str, size: Flavor) -> None:
        raise errors.Unsupported(
            f"{name} cannot get the size {size.name}: without root nothing limits the memory and "
            "cpus of servers here."
        )

    def pid(self, name: str) -> int | None:
        process = services.find(self._service(name))
        return None if process is None else process.pid

    def shut_down(self, name: str) -> None:
        process = services.find(self._service(name))
        watcher = services.watch(process) if process else None
        if watcher is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(watcher, signal.SIGTERM)
            os.close(watcher)

    def wait(self, name: str, seconds: float) -> None:
        if process := services.find(self._service(name)):
            services.wait(process, seconds)

    def kill(self, name: str) -> None:
        if not family.kill(self._settings.root_dir(name), KILL_TIMEOUT):
            raise errors.Unavailable(f"{name} does not die")

    def console_file(self, name: str) -> Path:
        return self._settings.root_dir(name) / "console.log"
