"""The WSGI application: which resource answers on which path."""

from collections.abc import Callable, Mapping

import falcon
from oslo_config import cfg

from dbaas.api import auth, described, faults, openapi, options
from dbaas.api.metrics import Figures, Measuring, RequestFigures
from dbaas.api.middleware import Identities, Requests
from dbaas.api.offers import Offers
from dbaas.api.policy import Policy
from dbaas.api.rates import RateLimits, Rates
from dbaas.api.resources import later
from dbaas.api.resources.actions import InstanceAction
from dbaas.api.resources.backup_strategies import BackupStrategies
from dbaas.api.resources.backups import (
    Backup,
    Backups,
    BackupsOfInstance,
    BackupVerification,
)
from dbaas.api.resources.databases import Database, Databases
from dbaas.api.resources.datastores import (
    Datastore,
    Datastores,
    DatastoreVersion,
    DatastoreVersionById,
    DatastoreVersionFlavors,
    DatastoreVersions,
)
from dbaas.api.resources.flavors import Flavor, Flavors
from dbaas.api.resources.instances import Instance, Instances, InstancesInDetail
from dbaas.api.resources.limits import Limits, Quotas
from dbaas.api.resources.managed import (
    ManagedAction,
    ManagedInstance,
    ManagedInstances,
    ManagedPing,
    ManagedRoot,
)
from dbaas.api.resources.operations import Operation, Operations
from dbaas.api.resources.recovery import RecoveryOfInstance
from dbaas.api.resources.root import Root
from dbaas.api.resources.schedules import Schedule, Schedules
from dbaas.api.resources.tls import Tls
from dbaas.api.resources.users import User, UserDatabase, UserDatabases, Users
from dbaas.api.resources.versions import Healthcheck, Versions
from dbaas.api.services import Services
from dbaas.catalog.unit import Catalog
from dbaas.common import killpoints, sealing
from dbaas.contract.interfaces import TaskManager
from dbaas.strategies.grants import vaults
from dbaas.strategies.grants.base import Vault

App = falcon.App[falcon.Request, falcon.Response]

_PROJECT = "/v1.0/{project}"


def make(
    conf: cfg.ConfigOpts,
    catalog: Catalog,
    offers: Offers,
    waker: TaskManager,
    reached: killpoints.Reached = killpoints.nothing,
    is_leaving: Callable[[], bool] = lambda: False,
    storages: Mapping[str, Vault] | None = None,
) -> App:
    """Return the application; raise `Invalid` saying which option is wrong.

    Load balancers are told by /healthcheck when it `is_leaving`. `storages`: those for backups, if
    not the configured ones.

    Nothing is connected, and no thread started, before the first request: it may be forked.
    """
    policy = Policy(conf)
    sealer = sealing.from_conf(conf)
    section = conf[options.GROUP]
    rates = Rates(section)
    figures = RequestFigures((method, path) for method, path, _ in described.everything())
    services = Services(
        catalog=catalog,
        policy=policy,
        offers=offers,
        waker=waker,
        sealer=sealer,
        vaults=vaults.load(conf, sealer) if storages is None else storages,
        container=vaults.container(conf),
        rates=rates,
        options=section,
        reached=reached,
    )
    app: App = falcon.App(
        middleware=[
            Requests(),
            Measuring(figures),
            Identities(auth.authenticator(conf), policy),
            RateLimits(rates),
        ],
        cors_enable=False,
    )
    faults.install(app)
    versions = Versions(section.public_endpoint)
    app.add_route("/", versions)
    app.add_route("/v1.0", versions, suffix="one")
    app.add_route("/v1.0/", versions, suffix="one")
    app.add_route("/openapi.json", openapi.Document(section.auth_strategy))
    app.add_route("/metrics", Figures(figures))
    app.add_route("/healthcheck", Healthcheck(section.healthcheck_disabling_file, is_leaving))
    for path, resource in {
        "/instances": Instances(services),
        "/instances/detail": InstancesInDetail(services),
        "/instances/{instance_id}": Instance(services),
        "/instances/{instance_id}/action": InstanceAction(services),
        "/instances/{instance_id}/databases": Databases(services),
        "/instances/{instance_id}/databases/{database}": Database(services),
        "/instances/{instance_id}/users": Users(services),
        "/instances/{instance_id}/users/{user}": User(services),
        "/instances/{instance_id}/users/{user}/databases": UserDatabases(services),
        "/instances/{instance_id}/users/{user}/databases/{database}": UserDatabase(services),
        "/instances/{instance_id}/root": Root(services),
        "/instances/{instance_id}/recovery": RecoveryOfInstance(services),
        "/instances/{instance_id}/ssl": Tls(services),
        "/instances/{instance_id}/backups": BackupsOfInstance(services),
        "/backups": Backups(services),
        "/backups/{backup_id}": Backup(services),
        "/backups/{backup_id}/verify": BackupVerification(services),
        "/backup_schedules": Schedules(services),
        "/backup_schedules/{schedule_id}": Schedule(services),
        "/backup_strategies": BackupStrategies(services),
        "/datastores": Datastores(services),
        "/datastores/{datastore}": Datastore(services),
        "/datastores/{datastore}/versions": DatastoreVersions(services),
        "/datastores/{datastore}/versions/{version}": DatastoreVersion(services),
        "/datastores/{datastore}/versions/{version}/flavors": DatastoreVersionFlavors(services),
        "/datastores/versions/{version}": DatastoreVersionById(services),
        "/flavors": Flavors(services),
        "/flavors/{flavor}": Flavor(services),
        "/limits": Limits(services),
        "/mgmt/quotas/{target}": Quotas(services),
        "/mgmt/instances": ManagedInstances(services),
        "/mgmt/instances/{instance_id}": ManagedInstance(services),
        "/mgmt/instances/{instance_id}/action": ManagedAction(services),
        "/mgmt/instances/{instance_id}/root": ManagedRoot(services),
        "/mgmt/instances/{instance_id}/rpc_ping": ManagedPing(services),
        "/operations": Operations(services),
        "/operations/{operation_id}": Operation(services),
        **dict(later.resources()),
    }.items():
        app.add_route(f"{_PROJECT}{path}", resource)
    return app
