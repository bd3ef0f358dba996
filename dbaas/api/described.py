"""Every route that this version serves, for its description: what it takes, and what it answers.

Bodies are described by the very schemas that check them. A route that is not here fails a test.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from dbaas.api.resources import later
from dbaas.api.schemas import (
    accounts,
    answers,
    backup_strategies,
    backups,
    instances,
    managed,
    quotas,
    schedules,
)
from dbaas.api.schemas.answers import Schema, item, rows
from dbaas.api.schemas.check import Check
from dbaas.contract.operations import State


@dataclass(frozen=True)
class Parameter:
    name: str
    schema: Schema
    text: str
    place: str = "query"


@dataclass(frozen=True)
class Route:
    """`bodies`: any one of them; `gives`: None for an answer without a body."""

    text: str
    gives: Schema | None = None
    status: HTTPStatus = HTTPStatus.OK
    bodies: tuple[Check, ...] = ()
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    faults: tuple[HTTPStatus, ...] = ()
    """Beside those that every route has, or every one with a body or parameters."""
    media_type: str = "application/json"


Routes = Mapping[tuple[str, str], Route]
"""By method and path."""

PROJECT = "/v1.0/{project}"

_ACCEPTED = HTTPStatus.ACCEPTED
_BUSY = HTTPStatus.UNPROCESSABLE_ENTITY
_LATER = HTTPStatus.NOT_IMPLEMENTED
_EXCLUDED = HTTPStatus.CONFLICT

_LIMIT = Parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "Items of a page; there is an upper bound that the operator sets.",
)
_MARKER = Parameter(
    "marker",
    {"anyOf": [{"type": "string", "format": "uuid"}, {"const": ""}]},
    "Id of the last item before; empty for the first page.",
)
_NAME_MARKER = Parameter(
    "marker",
    {"type": "string", "maxLength": 512},
    "Name of the last item before, as the link to the next page has it; empty for the first page.",
)
_OFFSET = Parameter(
    "marker",
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 999_999_999}, {"const": ""}]},
    "Number of items before; empty for the first page.",
)
_DELETED = Parameter("deleted", {"type": "boolean"}, "Whether deleted instances are shown.")
_ONCE = Parameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[!-~]{1,255}$"},
    "The same key with the same request again is answered as the first time, for a day.",
    place="header",
)

_BACKUP = "/backups/{backup_id}"
_SCHEDULE = "/backup_schedules/{schedule_id}"
_OF_INSTANCE = Parameter(
    "instance_id", {"type": "string", "format": "uuid"}, "Of this instance only."
)
_OF_PROJECT = Parameter(
    "project_id",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "Of this project only: for administrators.",
)

_INSTANCE = "/instances/{instance_id}"
_USER = f"{_INSTANCE}/users/{{user}}"
_DATASTORE = "/datastores/{datastore}"
_MANAGED = "/mgmt/instances/{instance_id}"


def _page(key: str, one: Schema) -> Schema:
    return item({key: rows(one)}, {"links": answers.LINKS})


OPEN: Routes = {
    ("GET", "/"): Route("List the API's versions.", item({"versions": rows(answers.VERSION)})),
    ("GET", "/v1.0"): Route("Show this version.", item({"version": answers.VERSION})),
    ("GET", "/v1.0/"): Route("Show this version.", item({"version": answers.VERSION})),
    ("GET", "/healthcheck"): Route("Whether this host is to get requests.", {"type": "object"}),
    ("GET", "/openapi.json"): Route("This document.", {"type": "object"}),
    ("GET", "/metrics"): Route(
        "Figures for Prometheus.", {"type": "string"}, media_type="text/plain"
    ),
}
"""Nobody has to prove who he is for these."""

SERVED: Routes = {
    ("GET", "/instances"): Route(
        "List instances.", _page("instances", answers.INSTANCE), parameters=(_LIMIT, _MARKER)
    ),
    ("GET", "/instances/detail"): Route(
        "List instances with details.",
        _page("instances", answers.INSTANCE),
        parameters=(_LIMIT, _MARKER),
    ),
    ("POST", "/instances"): Route(
        "Create an instance.",
        item({"instance": answers.INSTANCE}),
        bodies=(instances.CREATE,),
        parameters=(_ONCE,),
        faults=(_BUSY, _LATER, _EXCLUDED),
    ),
    ("GET", _INSTANCE): Route("Show an instance.", item({"instance": answers.INSTANCE})),
    ("PUT", _INSTANCE): Route(
        "Change an instance.",
        status=_ACCEPTED,
        bodies=(instances.PUT,),
        parameters=(_ONCE,),
        faults=(_BUSY, _LATER, _EXCLUDED),
    ),
    ("PATCH", _INSTANCE): Route(
        "Change an instance.",
        status=_ACCEPTED,
        bodies=(instances.PATCH,),
        parameters=(_ONCE,),
        faults=(_BUSY, _LATER, _EXCLUDED),
    ),
    ("DELETE", _INSTANCE): Route(
        "Delete an instance.",
        status=_ACCEPTED,
        parameters=(
            _ONCE,
            Parameter("final_backup", {"type": "boolean"}, "Whether a backup is taken first."),
            Parameter("final_backup_name", {"type": "string"}, "What that is called."),
        ),
        faults=(HTTPStatus.BAD_REQUEST, _BUSY, _LATER),
    ),
    ("POST", f"{_INSTANCE}/action"): Route(
        "Do something to an instance.",
        status=_ACCEPTED,
        bodies=(instances.RESTART, instances.RESIZE, instances.ARCHIVE, instances.RESET_STATUS),
        parameters=(_ONCE,),
        faults=(_BUSY, _LATER, _EXCLUDED),
    ),
    ("GET", f"{_INSTANCE}/recovery"): Route(
        "Show to which moments an instance can be restored.",
        item({"recovery": answers.RECOVERY}),
    ),
    ("GET", f"{_INSTANCE}/databases"): Route(
        "List databases.",
        _page("databases", answers.NAMED),
        parameters=(_LIMIT, _NAME_MARKER),
        faults=(_BUSY,),
    ),
    ("POST", f"{_INSTANCE}/databases"): Route(
        "Create databases.",
        status=_ACCEPTED,
        bodies=(accounts.CREATE_DATABASES,),
        faults=(_BUSY, _EXCLUDED),
    ),
    ("GET", f"{_INSTANCE}/databases/{{database}}"): Route(
        "Show a database: not offered.", faults=(_LATER,)
    ),
    ("DELETE", f"{_INSTANCE}/databases/{{database}}"): Route(
        "Delete a database.", status=_ACCEPTED, faults=(HTTPStatus.BAD_REQUEST, _BUSY)
    ),
    ("GET", f"{_INSTANCE}/users"): Route(
        "List users.",
        _page("users", answers.USER),
        parameters=(_LIMIT, _NAME_MARKER),
        faults=(_BUSY,),
    ),
    ("POST", f"{_INSTANCE}/users"): Route(
        "Create users.",
        status=_ACCEPTED,
        bodies=(accounts.CREATE_USERS,),
        faults=(_BUSY, _EXCLUDED),
    ),
    ("PUT", f"{_INSTANCE}/users"): Route(
        "Change passwords of users.",
        status=_ACCEPTED,
        bodies=(accounts.CHANGE_PASSWORDS,),
        faults=(_BUSY, _EXCLUDED),
    ),
    ("GET", _USER): Route(
        "Show a user.", item({"user": answers.USER}), faults=(HTTPStatus.BAD_REQUEST, _BUSY)
    ),
    ("POST", _USER): Route(
        "Create a user.",
        status=_ACCEPTED,
        bodies=(accounts.CREATE_USERS,),
        faults=(_BUSY, _EXCLUDED),
    ),
    ("PUT", _USER): Route(
        "Change a user.",
        status=_ACCEPTED,
        bodies=(accounts.CHANGE_USER,),
        faults=(_BUSY, _EXCLUDED),
    ),
    ("DELETE", _USER): Route(
        "Delete a user.", status=_ACCEPTED, faults=(HTTPStatus.BAD_REQUEST, _BUSY)
    ),
    ("GET", f"{_USER}/databases"): Route(
        "List the databases that a user may access.",
        item({"databases": rows(answers.NAMED)}),
        faults=(HTTPStatus.BAD_REQUEST, _BUSY),
    ),
    ("PUT", f"{_USER}/databases"): Route(
        "Let a user access databases.",
        status=_ACCEPTED,
        bodies=(accounts.GRANT,),
        faults=(_BUSY, _EXCLUDED),
    ),
    ("DELETE", f"{_USER}/databases/{{database}}"): Route(
        "Let a user access a database no more.",
        status=_ACCEPTED,
        faults=(HTTPStatus.BAD_REQUEST, _BUSY),
    ),
    ("GET", f"{_INSTANCE}/root"): Route(
        "Show whether root was enabled.",
        item({"rootEnabled": {"type": "boolean"}}),
        faults=(_BUSY,),
    ),
    ("POST", f"{_INSTANCE}/root"): Route(
        "Enable root, with a new password.",
        item({"user": item({"name": answers.TEXT, "password": answers.TEXT})}),
        bodies=(accounts.ENABLE_ROOT,),
        body_required=False,
        faults=(_BUSY, _EXCLUDED),
    ),
    ("DELETE", f"{_INSTANCE}/root"): Route(
        "Disable root.", status=HTTPStatus.NO_CONTENT, faults=(_BUSY,)
    ),
    ("GET", f"{_INSTANCE}/ssl"): Route(
        "Show how connections are encrypted.",
        item({"ssl": answers.TLS}),
        parameters=(
            Parameter("include_certificate", {"type": "boolean"}, "Whether its PEM is shown."),
        ),
        faults=(_BUSY,),
    ),
    ("POST", f"{_INSTANCE}/ssl"): Route(
        "Change how connections are encrypted: not offered.", faults=(_LATER,)
    ),
    ("GET", f"{_INSTANCE}/backups"): Route(
        "List an instance's backups, those that changed last first.",
        _page("backups", answers.BACKUP),
        parameters=(_LIMIT, _OFFSET),
    ),
    ("GET", "/backups"): Route(
        "List backups, those that changed last first.",
        _page("backups", answers.BACKUP),
        parameters=(
            _LIMIT,
            _OFFSET,
            Parameter("datastore", {"type": "string"}, "Of this datastore only: id or name."),
            _OF_INSTANCE,
            _OF_PROJECT,
            Parameter("all_projects", {"type": "boolean"}, "Of all projects: administrators."),
        ),
    ),
    ("POST", "/backups"): Route(
        "Back an instance up, or register a backup that is there.",
        item({"backup": answers.BACKUP}),
        status=_ACCEPTED,
        bodies=(backups.CREATE,),
        parameters=(_ONCE,),
        faults=(_BUSY, _LATER, _EXCLUDED),
    ),
    ("GET", _BACKUP): Route("Show a backup.", item({"backup": answers.BACKUP})),
    ("POST", f"{_BACKUP}/verify"): Route(
        "Restore a backup for a trial.",
        item({"backup": answers.BACKUP}),
        status=_ACCEPTED,
        parameters=(_ONCE,),
        faults=(HTTPStatus.BAD_REQUEST, _BUSY, _EXCLUDED),
    ),
    ("DELETE", _BACKUP): Route(
        "Delete a backup with all that build on it.",
        status=_ACCEPTED,
        parameters=(_ONCE,),
        faults=(_BUSY,),
    ),
    ("GET", "/backup_schedules"): Route(
        "List schedules of backups.",
        _page("backup_schedules", answers.SCHEDULE),
        parameters=(_LIMIT, _MARKER, _OF_INSTANCE),
    ),
    ("POST", "/backup_schedules"): Route(
        "Have backups made by time.",
        item({"backup_schedule": answers.SCHEDULE}),
        status=HTTPStatus.CREATED,
        bodies=(schedules.CREATE,),
        parameters=(_ONCE,),
        faults=(_EXCLUDED, _BUSY),
    ),
    ("GET", _SCHEDULE): Route("Show a schedule.", item({"backup_schedule": answers.SCHEDULE})),
    ("PATCH", _SCHEDULE): Route(
        "Change a schedule.",
        item({"backup_schedule": answers.SCHEDULE}),
        bodies=(schedules.CHANGE,),
        parameters=(_ONCE,),
        faults=(_EXCLUDED, _BUSY),
    ),
    ("DELETE", _SCHEDULE): Route(
        "Delete a schedule; its backups stay.",
        status=_ACCEPTED,
        parameters=(_ONCE,),
        faults=(_BUSY,),
    ),
    ("GET", "/backup_strategies"): Route(
        "List where backups go.",
        item({"backup_strategies": rows(answers.BACKUP_STRATEGY)}),
        parameters=(_OF_INSTANCE, _OF_PROJECT),
    ),
    ("POST", "/backup_strategies"): Route(
        "Set where backups go: of an instance, or of all of the project's.",
        item({"backup_strategy": answers.BACKUP_STRATEGY}),
        status=_ACCEPTED,
        bodies=(backup_strategies.CREATE,),
    ),
    ("DELETE", "/backup_strategies"): Route(
        "Unset where backups go.", status=_ACCEPTED, parameters=(_OF_INSTANCE, _OF_PROJECT)
    ),
    ("GET", "/datastores"): Route(
        "List datastores.", item({"datastores": rows(answers.DATASTORE)})
    ),
    ("GET", _DATASTORE): Route("Show a datastore.", item({"datastore": answers.DATASTORE})),
    ("GET", f"{_DATASTORE}/versions"): Route(
        "List the versions of a datastore.",
        item({"versions": rows(answers.DATASTORE_VERSION)}),
    ),
    ("GET", f"{_DATASTORE}/versions/{{version}}"): Route(
        "Show a version of a datastore.",
        item({"version": answers.DATASTORE_VERSION}),
        faults=(HTTPStatus.BAD_REQUEST,),
    ),
    ("GET", f"{_DATASTORE}/versions/{{version}}/flavors"): Route(
        "List the flavors that a version can have.",
        item({"flavors": rows(answers.FLAVOR)}),
        faults=(HTTPStatus.BAD_REQUEST,),
    ),
    ("GET", "/datastores/versions/{version}"): Route(
        "Show a version by its id alone.",
        item({"version": answers.DATASTORE_VERSION}),
        faults=(HTTPStatus.BAD_REQUEST,),
    ),
    ("GET", "/flavors"): Route("List flavors.", item({"flavors": rows(answers.FLAVOR)})),
    ("GET", "/flavors/{flavor}"): Route("Show a flavor.", item({"flavor": answers.FLAVOR})),
    ("GET", "/limits"): Route(
        "Show what the project may have, and ask for in a minute.",
        item({"limits": rows(answers.RATE)}),
    ),
    ("GET", "/mgmt/quotas/{target}"): Route(
        "Show a project's quotas, and what it has.", item({"quotas": rows(answers.QUOTA)})
    ),
    ("PUT", "/mgmt/quotas/{target}"): Route(
        "Change a project's quotas.",
        item({"quotas": {"type": "object", "additionalProperties": answers.WHOLE}}),
        bodies=(quotas.CHANGE,),
    ),
    ("GET", "/mgmt/instances"): Route(
        "List every project's instances.",
        _page("instances", answers.MANAGED_INSTANCE),
        parameters=(
            _LIMIT,
            _OFFSET,
            _DELETED,
            Parameter(
                "project_id",
                {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                "Of this project only.",
            ),
        ),
    ),
    ("POST", "/mgmt/instances"): Route("Manage instances: not offered.", faults=(_LATER,)),
    ("GET", _MANAGED): Route(
        "Show an instance, as administrators see it.",
        item({"instance": answers.MANAGED_INSTANCE}),
        parameters=(_DELETED,),
    ),
    **{
        (method, _MANAGED): Route("Manage an instance: not offered.", faults=(_LATER,))
        for method in ("PUT", "PATCH", "DELETE")
    },
    ("POST", f"{_MANAGED}/action"): Route(
        "Do something to an instance, as an administrator.",
        status=_ACCEPTED,
        bodies=(
            managed.STOP,
            managed.REBOOT,
            managed.MIGRATE,
            managed.RESET_TASK_STATUS,
            managed.REBUILD,
            managed.ROTATE_KEYS,
        ),
        parameters=(_ONCE,),
        faults=(_BUSY, _LATER, _EXCLUDED),
    ),
    ("GET", f"{_MANAGED}/root"): Route(
        "Show who enabled root, and when.",
        item({"root_history": item(dict.fromkeys(("id", "enabled", "user"), answers.TEXT))}),
        parameters=(_DELETED,),
    ),
    ("GET", f"{_MANAGED}/rpc_ping"): Route(
        "Ask the guest agent whether it is there.", status=HTTPStatus.NO_CONTENT, faults=(_BUSY,)
    ),
    ("GET", "/operations"): Route(
        "List operations, the newest first.",
        _page("operations", answers.OPERATION),
        parameters=(
            _LIMIT,
            _MARKER,
            _OF_INSTANCE,
            Parameter("state", {"enum": [*State]}, "In this state only."),
        ),
    ),
    ("GET", "/operations/{operation_id}"): Route(
        "Show an operation with its steps.", item({"operation": answers.OPERATION})
    ),
}
"""By the path that follows `/v1.0/{project}`."""


def everything() -> Iterator[tuple[str, str, Route]]:
    """Yield method, whole path and description of every route, those that are to come included."""
    for (method, path), route in OPEN.items():
        yield method, path, route
    for (method, path), route in SERVED.items():
        yield method, PROJECT + path, route
    for methods, path, what in later.ROUTES:
        for method in methods.split():
            yield method, PROJECT + path, Route(f"{what}: not offered.", faults=(_LATER,))
