"""Glance, with images in files, and Placement."""

from tests.openstack.osbox import addresses, place, shared
from tests.openstack.osbox.service import Service, answers, service, wsgi

GLANCE_SETTINGS, PLACEMENT_SETTINGS = "glance/glance-api.conf", "placement/placement.conf"


def configure() -> None:
    staging, images = place.state("glance", "staging"), place.state("glance", "images")
    shared.write(
        GLANCE_SETTINGS,
        {
            "DEFAULT": {
                "bind_host": "0.0.0.0",
                "bind_port": addresses.GLANCE.port,
                "workers": 1,
                "enabled_backends": "local:file",
                "node_staging_uri": f"file://{staging}",
                "image_size_cap": 100 << 30,
                "transport_url": shared.QUEUES,
                "public_endpoint": addresses.GLANCE.url(addresses.GATEWAY),
            },
            "database": {"connection": shared.database("glance")},
            "glance_store": {"default_backend": "local"},
            "local": {"filesystem_store_datadir": images},
            "os_glance_staging_store": {"filesystem_store_datadir": staging},
            "os_glance_tasks_store": {"filesystem_store_datadir": place.state("glance", "tasks")},
            "keystone_authtoken": shared.tokens("glance"),
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": "/etc/glance/glance-api-paste.ini",
            },
            "oslo_concurrency": shared.locks(),
            "oslo_messaging_notifications": shared.SILENT,
        },
    )
    shared.write(
        PLACEMENT_SETTINGS,
        {
            "DEFAULT": {},
            "api": {"auth_strategy": "keystone"},
            "placement_database": {"connection": shared.database("placement")},
            "keystone_authtoken": shared.tokens("placement"),
        },
    )


def services() -> list[Service]:
    port = addresses.PLACEMENT.port
    placement = wsgi("placement", port, "/usr/bin/placement-api", processes=1, threads=4)
    settings = {"OS_PLACEMENT_CONFIG_DIR": str(shared.settings("placement"))}
    return [
        service(
            "glance-api",
            *("glance-api", *shared.reading(GLANCE_SETTINGS)),
            serves=lambda: answers(addresses.GLANCE.port),
        ),
        service("placement", *placement, serves=lambda: answers(port), environment=settings),
    ]
