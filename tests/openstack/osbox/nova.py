"""Nova: one cell, one host, emulated processors, a config drive for every server."""

import uuid

from tests.openstack.osbox import addresses, mariadb, place, shared
from tests.openstack.osbox.addresses import LOOPBACK, REGION
from tests.openstack.osbox.service import Service, answers, service

SETTINGS, CELL0_SETTINGS = "nova/nova.conf", "nova/cell0.conf"

_SERVICES = ("nova-api", "nova-conductor", "nova-scheduler", "nova-compute")
_PRIVILEGED = (
    *("privsep_osbrick", "vif_plug_linux_bridge_privileged", "vif_plug_ovs_privileged"),
    "nova_sys_admin",
)
_CELL0 = uuid.UUID(int=0)
_CELL1 = uuid.uuid5(uuid.NAMESPACE_DNS, "cell1.osbox")


def configure() -> None:
    shared.write(SETTINGS, _main() | _neighbours() | _privileges())
    shared.write(CELL0_SETTINGS, {"database": {"connection": shared.database("nova_cell0")}})


def _main() -> dict[str, shared.Section]:
    return {
        "DEFAULT": {
            "transport_url": shared.QUEUES,
            "my_ip": LOOPBACK,
            "host": "osbox",
            "state_path": place.state("nova"),
            "instances_path": place.state("nova", "instances"),
            "enabled_apis": "osapi_compute",
            "osapi_compute_listen": "0.0.0.0",
            "osapi_compute_workers": 1,
            "compute_driver": "libvirt.LibvirtDriver",
            "force_config_drive": "true",
            "use_cow_images": "true",
            "force_raw_images": "false",
            "ram_allocation_ratio": 2.0,
            "cpu_allocation_ratio": 32.0,
            "disk_allocation_ratio": 20.0,
            "reserved_host_memory_mb": 4096,
            "reserved_host_disk_mb": 0,
            "allow_resize_to_same_host": "true",
            "vif_plugging_timeout": 120,
            "vif_plugging_is_fatal": "true",
            "service_down_time": 180,
            "report_interval": 20,
            "rpc_response_timeout": 120,
            "shutdown_timeout": 40,
            "sync_power_state_interval": 30,
            "running_deleted_instance_poll_interval": 60,
            "instance_delete_interval": 30,
            "block_device_allocate_retries": 120,
            "block_device_allocate_retries_interval": 1,
            "max_concurrent_builds": 3,
            "rootwrap_config": "/etc/nova/rootwrap.conf",
            "preallocate_images": "none",
            "timeout_nbd": 1,
        },
        "api": {"auth_strategy": "keystone", "max_limit": 1000},
        "api_database": {"connection": shared.database("nova_api")},
        "database": {"connection": shared.database("nova")},
        "libvirt": {
            "virt_type": "qemu",
            "cpu_mode": "custom",
            "cpu_models": "EPYC",
            # With cmpxchg16b as qemu 7.2 emulates it, Linux 6.12 traps in its allocator, or hangs.
            "cpu_model_extra_flags": "-cx16",
            "images_type": "qcow2",
            "disk_cachemodes": "file=unsafe",
            "inject_partition": -2,
            "connection_uri": "qemu:///system",
            "nfs_mount_point_base": place.state("nova", "mnt"),
            "mem_stats_period_seconds": 0,
            "wait_soft_reboot_seconds": 60,
            "live_migration_permit_auto_converge": "false",
        },
        "vnc": {"enabled": "false"},
        "spice": {"enabled": "false"},
        "scheduler": {"discover_hosts_in_cells_interval": 30, "workers": 1},
        "conductor": {"workers": 1},
        "filter_scheduler": {"track_instance_changes": "false"},
        "quota": {
            "instances": 200,
            "cores": 400,
            "ram": 1024000,
            "key_pairs": 500,
            "server_groups": 500,
        },
        "oslo_concurrency": shared.locks(),
        "oslo_messaging_notifications": shared.SILENT,
        "cache": shared.CACHE,
    }


def _neighbours() -> dict[str, shared.Section]:
    where = {"region_name": REGION, "valid_interfaces": "internal"}
    return {
        "keystone_authtoken": shared.tokens("nova"),
        "service_user": shared.login("nova") | {"send_service_user_token": "true"},
        "placement": shared.login("placement") | where,
        "glance": {"api_servers": addresses.GLANCE.url(LOOPBACK), "region_name": REGION},
        "neutron": shared.login("neutron") | where | {"service_metadata_proxy": "false"},
        "cinder": shared.login("cinder")
        | {"os_region_name": REGION, "catalog_info": "volumev3::internalURL"},
    }


def _privileges() -> dict[str, shared.Section]:
    return {name: shared.helper(SETTINGS) for name in _PRIVILEGED} | {
        "workarounds": {
            "disable_rootwrap": "true",
            "skip_cpu_compare_on_dest": "true",
            "skip_hypervisor_version_check_on_lm": "true",
        }
    }


def services() -> list[Service]:
    return [
        service(
            name,
            *(name, *shared.reading(SETTINGS)),
            serves=_api_serves if name == "nova-api" else lambda: True,
        )
        for name in _SERVICES
    ]


def _api_serves() -> bool:
    return answers(addresses.NOVA.port)


def make_cells() -> None:
    """Do what `nova-manage cell_v2` does with three commands, each of many seconds."""
    for cell, name, queues, database in (
        (_CELL0, "cell0", "none:///", "nova_cell0"),
        (_CELL1, "cell1", shared.QUEUES, "nova"),
    ):
        mariadb.execute(
            "INSERT IGNORE INTO nova_api.cell_mappings (created_at, uuid, name, transport_url,"
            " database_connection, disabled) VALUES (NOW(), %s, %s, %s, %s, 0)",
            str(cell),
            name,
            queues,
            shared.database(database),
        )


def map_host() -> None:
    """Do what `nova-manage cell_v2 discover_hosts` does, without waiting for its period."""
    mariadb.execute(
        "INSERT IGNORE INTO nova_api.host_mappings (created_at, cell_id, host)"
        " SELECT NOW(), cell.id, node.host FROM nova.compute_nodes node"
        " JOIN nova_api.cell_mappings cell ON cell.name = 'cell1' WHERE node.deleted = 0"
    )
    mariadb.execute("UPDATE nova.compute_nodes SET mapped = 1 WHERE deleted = 0")
