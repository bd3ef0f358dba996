"""The routes of the contract that this version does not serve yet: 501, and what is missing."""

from collections.abc import Iterator

import falcon

from dbaas.api.middleware import identity
from dbaas.api.resources.base import administrator
from dbaas.contract import errors

_INSTANCE = "/instances/{instance_id}"
_VERSION = "/datastores/{datastore}/versions/{version}"
_CLUSTER = "/clusters/{cluster_id}"
_MANAGED = "/mgmt/instances/{instance_id}"
_RULES = "/mgmt/datastores/versions/{version}/parameters"

ROUTES = (
    ("GET", f"{_INSTANCE}/configuration", "Configuration defaults of an instance"),
    ("GET POST", f"{_INSTANCE}/log", "Logs of an instance"),
    ("GET POST", f"{_INSTANCE}/modules", "Modules"),
    ("DELETE", f"{_INSTANCE}/modules/{{module}}", "Modules"),
    ("GET POST", "/clusters", "Clusters"),
    ("GET POST DELETE", _CLUSTER, "Clusters"),
    ("GET", f"{_CLUSTER}/instances/{{instance_id}}", "Clusters"),
    ("GET POST", f"{_CLUSTER}/root", "Clusters"),
    ("GET", f"{_VERSION}/volume-types", "Volume types"),
    ("GET", f"{_VERSION}/parameters", "Configuration parameters"),
    ("GET", f"{_VERSION}/parameters/{{name}}", "Configuration parameters"),
    ("GET", "/datastores/versions/{version}/parameters", "Configuration parameters"),
    ("GET", "/datastores/versions/{version}/parameters/{name}", "Configuration parameters"),
    ("GET POST", "/configurations", "Configuration groups"),
    ("GET PATCH PUT DELETE", "/configurations/{configuration_id}", "Configuration groups"),
    ("GET", "/configurations/{configuration_id}/instances", "Configuration groups"),
    ("GET POST", "/modules", "Modules"),
    ("GET PUT DELETE", "/modules/{module}", "Modules"),
    ("GET PUT", "/modules/{module}/instances", "Modules"),
    ("GET", f"{_MANAGED}/diagnostics", "Diagnostics"),
    ("GET", f"{_MANAGED}/hwinfo", "Diagnostics"),
    ("POST", f"{_MANAGED}/upgrade", "Upgrading the guest agent"),
    ("GET", "/mgmt/clusters", "Clusters"),
    ("GET", "/mgmt/clusters/{cluster_id}", "Clusters"),
    ("POST", "/mgmt/clusters/{cluster_id}/action", "Clusters"),
    ("GET POST", _RULES, "Configuration parameters"),
    ("GET PUT DELETE", f"{_RULES}/{{name}}", "Configuration parameters"),
    ("GET POST", "/mgmt/datastore-versions", "Managing datastore versions over REST"),
    (
        "GET PATCH DELETE",
        "/mgmt/datastore-versions/{version}",
        "Managing datastore versions over REST",
    ),
)
"""Methods, path after /v1.0/{project}, what is missing. Other methods are 404, as everywhere."""


class Later:
    """Answers its methods that there will be something here."""

    def __init__(self, methods: str, what: str) -> None:
        self._what = what
        for method in methods.split():
            setattr(self, f"on_{method.lower()}", self._refuse)

    def _refuse(self, req: falcon.Request, _resp: falcon.Response, **_: str) -> None:
        who = identity(req)
        if req.path.startswith(f"/v1.0/{who.project_id}/mgmt/"):
            administrator(req)
        raise refusal(req, self._what)


def refusal(req: falcon.Request, what: str) -> errors.Unsupported:
    """Return the error that says that there will be something here."""
    return errors.Unsupported(
        f"{what}: not available in this version of the service ({req.method} on this path)."
    )


def resources() -> Iterator[tuple[str, Later]]:
    """Yield every path with what answers on it."""
    for methods, path, what in ROUTES:
        yield path, Later(methods, what)
