"""Cinder, with its stock NFS driver, and what stands in for NFS.

LVM with iSCSI and an NFS client are modules of the kernel that not every host has. So a helper,
which only the box sees, serves `mount -t nfs`: it bind-mounts the export, a file system in a loop
file. The driver of this release does not extend a volume that is attached.
"""

from pathlib import Path

from dbaas.host import commands, files
from tests.openstack.osbox import addresses, place, shared
from tests.openstack.osbox.addresses import LOOPBACK, REGION
from tests.openstack.osbox.service import Service, answers, service

SETTINGS = "cinder/cinder.conf"
VOLUME_TYPE = "nfs"
EXPORT_GIB = 60
"""Sparse: as much of the disk is taken as is written."""

_SERVICES = ("cinder-api", "cinder-scheduler", "cinder-volume")
_FORMAT_SECONDS = 60.0


def configure() -> None:
    shares = shared.write_text("cinder/nfs_shares", f"{LOOPBACK}:/volumes\n")
    shared.write(SETTINGS, _main(shares))
    mount = place.programs() / "mount.nfs"
    files.write(mount, f'#!/bin/sh\nexec mount --bind {export()} "$2"\n', mode=0o755)


def export() -> Path:
    return place.state("cinder", "export")


def make_export() -> Path:
    """Return the file whose file system holds the volumes; it is made when it is not there."""
    image = place.state("cinder") / "export.img"
    if not image.exists():
        fresh = image.with_suffix(".new")
        with fresh.open("wb") as file:
            file.truncate(EXPORT_GIB << 30)
        quick = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        commands.run(
            ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", quick, str(fresh)], timeout=_FORMAT_SECONDS
        )
        fresh.rename(image)
    return image


def _main(shares: Path) -> dict[str, shared.Section]:
    return {
        "DEFAULT": {
            "transport_url": shared.QUEUES,
            "auth_strategy": "keystone",
            "my_ip": LOOPBACK,
            "host": "osbox",
            "state_path": place.state("cinder"),
            "osapi_volume_listen": "0.0.0.0",
            "osapi_volume_workers": 1,
            "enabled_backends": "nfs",
            "default_volume_type": "__DEFAULT__",
            "glance_api_servers": addresses.GLANCE.url(LOOPBACK),
            "rootwrap_config": "/etc/cinder/rootwrap.conf",
            "api_paste_config": "/etc/cinder/api-paste.ini",
            "resource_query_filters_file": "/etc/cinder/resource_filters.json",
            "service_down_time": 180,
            "report_interval": 20,
            "image_conversion_dir": place.state("cinder", "conversion"),
            "quota_volumes": 1000,
            "quota_gigabytes": 100000,
            "quota_snapshots": 1000,
            "rpc_response_timeout": 120,
            "volume_clear": "none",
            "periodic_interval": 30,
        },
        "nfs": {
            "volume_driver": "cinder.volume.drivers.nfs.NfsDriver",
            "volume_backend_name": "nfs",
            "nfs_shares_config": shares,
            "nfs_mount_point_base": place.state("cinder", "mnt"),
            "nfs_sparsed_volumes": "true",
            "nfs_qcow2_volumes": "false",
            "nfs_snapshot_support": "true",
            "nas_secure_file_operations": "false",
            "nas_secure_file_permissions": "false",
            "max_over_subscription_ratio": 100.0,
        },
        "database": {"connection": shared.database("cinder")},
        "keystone_authtoken": shared.tokens("cinder"),
        "service_user": shared.login("cinder") | {"send_service_user_token": "true"},
        "nova": shared.login("nova")
        | {
            "region_name": REGION,
            "interface": "internal",
            "token_auth_url": addresses.login_url(),
        },
        "oslo_concurrency": shared.locks(),
        "oslo_messaging_notifications": shared.SILENT,
        "privsep_osbrick": shared.helper(SETTINGS),
        "cinder_sys_admin": shared.helper(SETTINGS),
    }


def services() -> list[Service]:
    return [
        service(
            name,
            *(name, *shared.reading(SETTINGS)),
            serves=_api_serves if name == "cinder-api" else lambda: True,
        )
        for name in _SERVICES
    ]


def _api_serves() -> bool:
    return answers(addresses.CINDER.port)
