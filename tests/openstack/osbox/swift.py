"""Swift: one replica on one device, which is a directory."""

from dbaas.host import commands
from tests.openstack.osbox import addresses, place, shared
from tests.openstack.osbox.addresses import LOOPBACK
from tests.openstack.osbox.service import Service, answers, service

_RINGS = {"account": 6202, "container": 6201, "object": 6200}
_RING_SECONDS = 30.0
_PIPELINE = (
    *("catch_errors", "gatekeeper", "healthcheck", "cache", "listing_formats", "bulk", "tempurl"),
    *("authtoken", "keystoneauth", "copy", "container-quotas", "account-quotas", "slo", "dlo"),
    *("versioned_writes", "symlink", "proxy-server"),
)


def configure() -> None:
    affixes = {"swift_hash_path_suffix": "osbox", "swift_hash_path_prefix": "osbox"}
    policy = {"name": "Policy-0", "default": "yes"}
    shared.write("swift/swift.conf", {"swift-hash": affixes, "storage-policy:0": policy})
    for kind, port in _RINGS.items():
        shared.write(f"swift/{kind}-server.conf", _storage(kind, port))
        _make_ring(kind, port)
    shared.write("swift/proxy-server.conf", _proxy())


def _common() -> dict[str, object]:
    return {
        "user": "root",
        "swift_dir": "/etc/swift",
        "devices": place.state("swift", "dev"),
        "mount_check": "false",
        "disable_fallocate": "true",
        "bind_ip": LOOPBACK,
        "workers": 0,
        "log_level": "WARNING",
        "eventlet_debug": "false",
        "backlog": 512,
    }


def _storage(kind: str, port: int) -> dict[str, shared.Section]:
    place.state("swift", "dev", "d1")
    recon = {"recon_cache_path": place.state("swift", "recon")}
    default: shared.Section = _common() | {"bind_port": port}
    return {
        "DEFAULT": default,
        "pipeline:main": {"pipeline": f"{kind}-server"},
        f"app:{kind}-server": {"use": f"egg:swift#{kind}"},
        f"{kind}-updater": {"interval": 15, "account_suppression_time": 1, **recon},
        f"{kind}-replicator": recon,
    }


def _make_ring(kind: str, port: int) -> None:
    builder = shared.settings(f"swift/{kind}.builder")
    if builder.with_suffix(".ring.gz").exists():
        return
    builder.unlink(missing_ok=True)
    for words in (
        ("create", "8", "1", "1"),
        ("add", f"r1z1-{LOOPBACK}:{port}/d1", "100"),
        ("rebalance",),
    ):
        command = ["swift-ring-builder", str(builder), *words]
        commands.run(command, timeout=_RING_SECONDS, env=place.environment())


def _proxy() -> dict[str, shared.Section]:
    default = _common() | {"bind_ip": "0.0.0.0", "bind_port": addresses.SWIFT.port}
    tokens = shared.tokens("swift") | {
        "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
        "delay_auth_decision": "True",
        "service_token_roles_required": "false",
    }
    filters: dict[str, shared.Section] = {
        "authtoken": tokens,
        "keystoneauth": {
            "use": "egg:swift#keystoneauth",
            "operator_roles": "admin, member",
            "reseller_admin_role": "ResellerAdmin",
            "allow_overrides": "true",
        },
        "cache": {"use": "egg:swift#memcache", "memcache_servers": shared.MEMCACHED},
    }
    for name in set(_PIPELINE) - {*filters, "proxy-server"}:
        filters[name] = {"use": f"egg:swift#{name.replace('-', '_')}"}
    return {
        "DEFAULT": default,
        "pipeline:main": {"pipeline": " ".join(_PIPELINE)},
        "app:proxy-server": {"use": "egg:swift#proxy", "account_autocreate": "true"},
        **{f"filter:{name}": filters[name] for name in sorted(filters)},
    }


def services() -> list[Service]:
    ports = {"proxy": addresses.SWIFT.port, **_RINGS}
    return [
        *(_server(kind, port) for kind, port in ports.items()),
        service(
            "swift-updater", "swift-container-updater", "/etc/swift/container-server.conf", "-v"
        ),
    ]


def _server(kind: str, port: int) -> Service:
    return service(
        f"swift-{kind}",
        *(f"swift-{kind}-server", f"/etc/swift/{kind}-server.conf", "-v"),
        serves=lambda: answers(port, "/healthcheck"),
    )
