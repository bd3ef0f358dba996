"""Puts guest images into Glance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glanceclient.v2.client import Client
from oslo_config import cfg

from dbaas.cloud.openstack import calls, guestimage, settings
from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.images import GLANCE, client
from dbaas.contract import errors

GIB = 1 << 30

PROPERTIES: Mapping[str, str] = {
    "os_type": "linux",
    "os_distro": "debian",
    "os_shutdown_timeout": "120",
}
"""What Nova is to know: above all, how many seconds a database server gets to end."""


def upload(
    conf: cfg.ConfigOpts, image: Path, name: str, tags: Sequence[str], *, directly: bool
) -> str:
    """Return the id of the image, which can be used from now on.

    `directly`: its servers start with the kernel beside it, without BIOS and boot loader. Nothing
    stays of an upload that fails.
    """
    settings.register(conf)
    glance = client(calls.session(conf), settings.from_conf(conf))
    made: list[str] = []
    try:
        with calling(GLANCE):
            properties = {**PROPERTIES, **(_direct(glance, image, name, made) if directly else {})}
            size_gib = -(-guestimage.disk_size(image) // GIB)
            wanted = properties | {"name": name, "tags": list(tags), "min_disk": size_gib}
            return _create(glance, image, ("qcow2", "bare"), wanted, made)
    except (errors.Error, OSError):
        _remove(glance, made)
        raise


def _direct(glance: Client, image: Path, name: str, made: list[str]) -> dict[str, str]:
    """Upload what servers start with; return how an image refers to it."""
    beside = guestimage.kernel_of(image)
    return {
        "kernel_id": _create(
            glance, beside.kernel, ("aki", "aki"), {"name": f"{name} kernel"}, made
        ),
        "ramdisk_id": _create(
            glance, beside.initrd, ("ari", "ari"), {"name": f"{name} initrd"}, made
        ),
        "os_command_line": beside.options,
    }


def _create(
    glance: Client,
    content: Path,
    formats: tuple[str, str],
    properties: Mapping[str, Any],
    made: list[str],
) -> str:
    disk_format, container_format = formats
    record = glance.images.create(
        disk_format=disk_format, container_format=container_format, **properties
    )
    made.append(record["id"])
    with content.open("rb") as file:
        glance.images.upload(record["id"], file, image_size=content.stat().st_size)
    return str(record["id"])


def _remove(glance: Client, made: Sequence[str]) -> None:
    for image in reversed(made):
        with calling(GLANCE):
            glance.images.delete(image)
