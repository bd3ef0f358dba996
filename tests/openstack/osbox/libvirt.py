"""libvirt, and the qemu that it starts: guests yield to the services, and take less memory."""

import uuid
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, files
from tests.openstack.osbox import place, shared
from tests.openstack.osbox.service import Service, service

_DAEMON = f"""\
listen_tls = 0
listen_tcp = 0
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
log_outputs = "2:stderr"
host_uuid = "{uuid.uuid5(uuid.NAMESPACE_DNS, "osbox")}"
"""

_QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
security_default_confined = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
clear_emulator_capabilities = 0
set_process_name = 0
max_core = 0
"""

_WRAPPER = """\
#!/bin/bash
words=()
for word in "$@"; do
    [ "$word" = tcg ] && word=tcg,thread=multi,tb-size=256
    words+=("$word")
done
exec /usr/bin/nice -n 3 /usr/bin/qemu-system-x86_64 "${words[@]}"
"""
"""`tb-size`: MiB of translated code that a guest may have, of which qemu would take many more."""


def configure() -> None:
    shared.write_text("libvirt/libvirtd.conf", _DAEMON)
    shared.write_text("libvirt/qemu.conf", _QEMU)
    (servers() / "networks").mkdir(exist_ok=True)
    _programs().mkdir(exist_ok=True)
    files.write(_programs() / "qemu-system-x86_64", _WRAPPER, mode=0o755)


def servers() -> Path:
    """Return where libvirt keeps what servers there are: a new cloud has none of the last one."""
    return place.state("libvirt", "servers")


def _programs() -> Path:
    """Return the directory that is searched for programs before those of the host's."""
    return place.HOME.settings / "bin"


def services() -> list[Service]:
    # Without /usr/bin: there it finds emulators of thirty processors, and asks each what it can.
    path = {"PATH": f"{_programs()}:/usr/sbin"}
    daemon = ("/usr/sbin/libvirtd", "-f", "/etc/libvirt/libvirtd.conf")
    return [service("libvirtd", *daemon, serves=_serves, environment=path)]


def _serves() -> bool:
    try:
        commands.run(["virsh", "-c", "qemu:///system", "version"], timeout=60.0)
    except errors.Error:
        return False
    return True
