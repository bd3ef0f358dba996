"""Writes what the services and their users read: `dbaas.conf`, and an `openrc` for each user."""

from collections.abc import Mapping

from dbaas.cloud.rootfs import recipe
from dbaas.host import files
from dbaas.manage.stack import broker, catalog, credentials
from dbaas.manage.stack.credentials import BROKER_USER, PRIVATE, Credentials, User
from dbaas.manage.stack.plan import Plan

API_WORKERS = 2
API_THREADS = 8
API_RATE = 100_000
"""Requests a minute: more than it can serve."""
API_DRAIN = 1.0
"""Seconds: the proxy asks for the health of several APIs every `proxy.INTERVAL`."""

Options = Mapping[str, Mapping[str, object]]


def write(plan: Plan, known: Credentials) -> None:
    files.write(plan.configuration, ini(options(plan, known)), mode=PRIVATE)
    for program, port in plan.metrics.items():
        text = ini({"metrics": {"bind_port": port}})
        files.write(plan.own_configuration(program), text, mode=PRIVATE)
    plan.own_configuration("dbaas-api").unlink(missing_ok=True)  # there may have been several
    for program, port in plan.apis.items():
        text = ini({"api": {"bind_port": port, "drain": API_DRAIN}})
        files.write(plan.own_configuration(program), text, mode=PRIVATE)
    for user in known.users:
        files.write(plan.openrc(user.name), _openrc(plan, user), mode=PRIVATE)


def options(plan: Plan, known: Credentials) -> Options:
    """Return what this stack sets, by group; everything else is left at its default."""
    certificate, key = credentials.authority_files(plan)
    return {
        "DEFAULT": {
            "transport_url": _broker_url("rabbit", plan, known, broker.CONTROL_VHOST),
            "cloud": _cloud(plan),
        },
        "catalog": {"connection": catalog.url(plan, known)},
        "guest_bus": {
            "url": _broker_url("amqp", plan, known, broker.GUEST_VHOST),
            "management_url": f"http://{BROKER_USER}:{known.broker.reveal()}"
            f"@127.0.0.1:{plan.ports.management}",
            "guest_host": plan.bridge_address,
            "guest_port": plan.ports.guests,
            "ca_file": certificate,
        },
        "secrets": {
            "master_key_file": credentials.master_key_file(plan),
            "authority_certificate_file": certificate,
            "authority_key_file": key,
        },
        "storage_local": {"directory": plan.backups, "url": plan.depot_url},
        "depot": {"bind_host": plan.bridge_address, "bind_port": plan.ports.depot},
        _cloud(plan): _local(plan) if plan.isolates else _loopback(plan),
        "api": {
            "bind_host": "127.0.0.1",
            "bind_port": plan.ports.api,
            "workers": API_WORKERS,
            "threads": API_THREADS,
            "auth_strategy": "http_basic",
            "users_file": plan.directory / "users.conf",
            # Whoever uses a stack has its host anyway: the limits are there for a cloud.
            **{f"http_{kind}_rate": API_RATE for kind in ("get", "post", "put", "delete")},
        },
    }


def _cloud(plan: Plan) -> str:
    return "local" if plan.isolates else "loopback"


def _local(plan: Plan) -> Mapping[str, object]:
    return {
        "deployment": f"dbaas-{plan.id}",
        "state_dir": plan.cloud,
        "cache_dir": recipe.default_cache(),
        "bridge_address": f"{plan.bridge_address}/{plan.subnet.prefixlen}",
        "broker_port": plan.ports.guests,
        "depot_port": plan.ports.depot,
    }


def _loopback(plan: Plan) -> Mapping[str, object]:
    return {"state_dir": plan.cloud, "pool": plan.subnet}


def _broker_url(scheme: str, plan: Plan, known: Credentials, vhost: str) -> str:
    login = f"{BROKER_USER}:{known.broker.reveal()}"
    return f"{scheme}://{login}@127.0.0.1:{plan.ports.broker}/{vhost}"


def ini(options: Options) -> str:
    lines = ["# Written by every start of the stack: changes made here are lost."]
    for group, values in options.items():
        lines += ["", f"[{group}]"]
        lines += [f"{name} = {str(value).replace('$', '$$')}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


_OF_OTHER_CLOUDS = (
    "OS_AUTH_URL", "OS_CLOUD", "OS_PROJECT_ID", "OS_PROJECT_NAME", "OS_PROJECT_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_NAME", "OS_TOKEN", "OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME",
)  # fmt: skip
"""What a shell may have from elsewhere, and no client takes together with a name and a password."""


def _openrc(plan: Plan, user: User) -> str:
    variables = {
        "OS_AUTH_TYPE": "http_basic",
        "OS_USERNAME": user.name,
        "OS_PASSWORD": user.password.reveal(),
        "OS_ENDPOINT": f"{plan.api_url}/v1.0/{user.project_id}",
    }
    lines = [f"# For the clients of a stack's {user.name}: openstack, openstacksdk, dbaas."]
    lines += [f"unset {' '.join(_OF_OTHER_CLOUDS)}"]
    lines += [f"export {name}={value}" for name, value in variables.items()]
    return "\n".join(lines) + "\n"
