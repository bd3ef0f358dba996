"""Neutron: flat networks and vxlan ones by Linux bridges, security groups by iptables, DHCP."""

from dbaas.host import files
from tests.openstack.osbox import addresses, place, shared
from tests.openstack.osbox.addresses import NETWORKS, REGION
from tests.openstack.osbox.service import EAGER, Service, answers, service

SETTINGS, ML2_SETTINGS = "neutron/neutron.conf", "neutron/ml2.ini"

_BRIDGES, _DHCP = "neutron/linuxbridge.ini", "neutron/dhcp.ini"
_PRIVILEGED = (
    *("privsep", "privsep_dhcp_release", "privsep_namespace", "privsep_conntrack"),
    "privsep_link",
)
_FIREWALL = {
    "enable_security_group": "true",
    "enable_ipset": "true",
    "firewall_driver": "iptables",
}


_EBTABLES = """\
#!/bin/bash
exec /usr/sbin/ebtables-nft "${@/#--among-src/-s}"
"""
"""Debian 12's ebtables cannot remove a rule of `--among-src`, which Neutron does to every port that
changes, and tries for minutes. With one address, as all of ours are, `-s` says the same.
"""


def configure() -> None:
    files.write(place.programs() / "ebtables", _EBTABLES, mode=0o755)
    shared.write(SETTINGS, _main() | {name: shared.helper(SETTINGS) for name in _PRIVILEGED})
    shared.write(
        ML2_SETTINGS,
        {
            "ml2": {
                "type_drivers": "flat,vxlan",
                "tenant_network_types": "vxlan",
                "mechanism_drivers": "linuxbridge",
                "extension_drivers": "port_security",
            },
            "ml2_type_flat": {"flat_networks": "*"},
            "ml2_type_vxlan": {"vni_ranges": "1:1000"},
            "securitygroup": _FIREWALL,
        },
    )
    mappings = ",".join(f"{network.interface}:p-{network.interface}" for network in NETWORKS)
    shared.write(
        _BRIDGES,
        {
            "linux_bridge": {"physical_interface_mappings": mappings},
            "vxlan": {
                "enable_vxlan": "true",
                "local_ip": addresses.TUNNEL,
                "l2_population": "false",
            },
            "securitygroup": _FIREWALL,
            "agent": {"polling_interval": 1},
        },
    )
    shared.write(
        _DHCP,
        {
            "DEFAULT": {
                "interface_driver": "linuxbridge",
                "enable_isolated_metadata": "false",
                "resync_interval": 10,
                "dnsmasq_local_resolv": "false",
                "num_sync_threads": 4,
                "resync_throttle": 1,
                "dhcp_broadcast_reply": "false",
            }
        },
    )


def _main() -> dict[str, shared.Section]:
    where = {"region_name": REGION, "endpoint_type": "internal"}
    return {
        "DEFAULT": {
            "transport_url": shared.QUEUES,
            "bind_host": "0.0.0.0",
            "bind_port": addresses.NEUTRON.port,
            "core_plugin": "ml2",
            "service_plugins": "",
            "auth_strategy": "keystone",
            "state_path": place.state("neutron"),
            "host": "osbox",
            "api_workers": 1,
            "rpc_workers": 1,
            "rpc_state_report_workers": 0,
            "allow_overlapping_ips": "true",
            "notify_nova_on_port_status_changes": "true",
            "notify_nova_on_port_data_changes": "true",
            "send_events_interval": 1,
            "agent_down_time": 180,
            "dhcp_agents_per_network": 1,
            "rpc_response_timeout": 60,
            "global_physnet_mtu": 1500,
            "api_paste_config": "/etc/neutron/api-paste.ini",
            "dns_domain": "osbox.",
            "dhcp_lease_duration": 86400,
        },
        "database": {"connection": shared.database("neutron")},
        "keystone_authtoken": shared.tokens("neutron"),
        "nova": shared.login("nova") | where,
        "placement": shared.login("placement") | where,
        "agent": {"root_helper": "env", "report_interval": 30},
        "oslo_concurrency": shared.locks(),
        "oslo_messaging_notifications": shared.SILENT,
        "quotas": {
            "quota_network": 1000,
            "quota_subnet": 1000,
            "quota_port": 5000,
            "quota_security_group": 1000,
            "quota_security_group_rule": 10000,
        },
        "experimental": {"linuxbridge": "true"},
    }


def services() -> list[Service]:
    server = (SETTINGS, ML2_SETTINGS)
    return [
        service(
            "neutron-server",
            *(*EAGER, "neutron-server", *shared.reading(*server)),
            serves=lambda: answers(addresses.NEUTRON.port),
        ),
        service(
            "neutron-linuxbridge",
            "neutron-linuxbridge-agent",
            *shared.reading(*server, _BRIDGES),
        ),
        service("neutron-dhcp", "neutron-dhcp-agent", *shared.reading(SETTINGS, _DHCP)),
    ]
