"""Who may do what: the rules that an operator can change in `policy.yaml`, and their defaults."""

import time
from collections.abc import Iterator, Mapping

from oslo_config import cfg
from oslo_policy import opts, policy

from dbaas.common.context import Context
from dbaas.contract import errors

REMEMBERED = 1.0
"""Seconds for which a decision holds: to look for a changed file costs more than most requests."""

_MOST = 10_000

_BASE = (
    ("admin", "role:admin", "An administrator of the service."),
    ("admin_or_owner", "rule:admin or project_id:%(tenant)s", "Whose project it is, or admin."),
    ("context_is_admin", "role:admin", "Who sees other projects' and management's details."),
)

_AOO = "rule:admin_or_owner"
_ANY = ""
_ADMIN = "rule:admin"


def _extension(
    noun: str, path: str, verbs: Mapping[str, tuple[str, str, str]]
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the rules about what is inside of an instance."""
    for verb, (method, rest, text) in verbs.items():
        name = f"instance:extension:{noun}:{verb}"
        yield name, _AOO, method, f"/instances/{{id}}{path}{rest}", text


# Name, default, method, path after /v1.0/{project_id}, what it allows.
_RULES = (
    ("instance:index", _AOO, "GET", "/instances", "List instances."),
    ("instance:detail", _AOO, "GET", "/instances/detail", "List instances with details."),
    ("instance:create", _AOO, "POST", "/instances", "Create an instance."),
    ("instance:show", _AOO, "GET", "/instances/{id}", "Show an instance."),
    ("instance:update", _AOO, "PUT", "/instances/{id}", "Change an instance."),
    ("instance:delete", _AOO, "DELETE", "/instances/{id}", "Delete an instance."),
    ("instance:restart", _AOO, "POST", "/instances/{id}/action", "Restart the database server."),
    ("instance:archive", _AOO, "POST", "/instances/{id}/action", "Archive what it logs, or not."),
    ("instance:recovery", _AOO, "GET", "/instances/{id}/recovery", "See what can be restored."),
    ("instance:resize_volume", _AOO, "POST", "/instances/{id}/action", "Grow the volume."),
    ("instance:resize_flavor", _AOO, "POST", "/instances/{id}/action", "Change the flavor."),
    ("instance:reset_status", _ADMIN, "POST", "/instances/{id}/action", "Reset the status."),
    (
        "instance:force_delete",
        _AOO,
        "POST",
        "/instances/{id}/action",
        "Reset the status in order to delete the instance.",
    ),
    *_extension(
        "database",
        "/databases",
        {
            "index": ("GET", "", "List databases."),
            "create": ("POST", "", "Create databases, also together with an instance."),
            "show": ("GET", "/{database}", "Show a database."),
            "delete": ("DELETE", "/{database}", "Delete a database."),
        },
    ),
    *_extension(
        "user",
        "/users",
        {
            "index": ("GET", "", "List users."),
            "create": ("POST", "", "Create users, also together with an instance."),
            "update_all": ("PUT", "", "Change the passwords of users."),
            "show": ("GET", "/{user}", "Show a user."),
            "update": ("PUT", "/{user}", "Change a user."),
            "delete": ("DELETE", "/{user}", "Delete a user."),
        },
    ),
    *_extension(
        "user_access",
        "/users/{user}/databases",
        {
            "index": ("GET", "", "List what a user may access."),
            "update": ("PUT", "", "Let a user access databases."),
            "delete": ("DELETE", "/{database}", "Take a user's access to a database."),
        },
    ),
    *_extension(
        "root",
        "/root",
        {
            "index": ("GET", "", "Show whether root is enabled."),
            "create": ("POST", "", "Enable root."),
            "delete": ("DELETE", "", "Disable root."),
        },
    ),
    ("instance:backups", _AOO, "GET", "/instances/{id}/backups", "List an instance's backups."),
    ("backup:index", _AOO, "GET", "/backups", "List backups."),
    (
        "backup:index:all_projects",
        "role:admin",
        "GET",
        "/backups?all_projects=true",
        "List every project's backups.",
    ),
    ("backup:create", _AOO, "POST", "/backups", "Back an instance up, or register a backup."),
    ("backup:show", _AOO, "GET", "/backups/{id}", "Show a backup."),
    ("backup:verify", _AOO, "POST", "/backups/{id}/verify", "Restore a backup for a trial."),
    ("backup:delete", _AOO, "DELETE", "/backups/{id}", "Delete a backup."),
    ("backup_schedule:index", _AOO, "GET", "/backup_schedules", "List schedules of backups."),
    ("backup_schedule:create", _AOO, "POST", "/backup_schedules", "Have backups made by time."),
    ("backup_schedule:show", _AOO, "GET", "/backup_schedules/{id}", "Show a schedule."),
    ("backup_schedule:update", _AOO, "PATCH", "/backup_schedules/{id}", "Change a schedule."),
    ("backup_schedule:delete", _AOO, "DELETE", "/backup_schedules/{id}", "Delete a schedule."),
    ("backup_strategy:index", _AOO, "GET", "/backup_strategies", "List where backups go."),
    ("backup_strategy:create", _AOO, "POST", "/backup_strategies", "Set where backups go."),
    ("backup_strategy:delete", _AOO, "DELETE", "/backup_strategies", "Unset where backups go."),
    ("datastore:index", _ANY, "GET", "/datastores", "List datastores."),
    ("datastore:show", _ANY, "GET", "/datastores/{datastore}", "Show a datastore."),
    ("datastore:delete", _ADMIN, "DELETE", "/datastores/{datastore}", "Delete a datastore."),
    (
        "datastore:version_index",
        _ANY,
        "GET",
        "/datastores/{datastore}/versions",
        "List the versions of a datastore.",
    ),
    (
        "datastore:version_show",
        _ANY,
        "GET",
        "/datastores/{datastore}/versions/{version}",
        "Show a version of a datastore.",
    ),
    (
        "datastore:version_show_by_uuid",
        _ANY,
        "GET",
        "/datastores/versions/{version}",
        "Show a version by its id alone.",
    ),
    (
        "datastore:list_associated_flavors",
        _ANY,
        "GET",
        "/datastores/{datastore}/versions/{version}/flavors",
        "List the flavors that a version can have.",
    ),
    ("flavor:index", _ANY, "GET", "/flavors", "List flavors."),
    ("flavor:show", _ANY, "GET", "/flavors/{flavor}", "Show a flavor."),
    ("limits:index", _AOO, "GET", "/limits", "Show limits."),
    ("operation:index", _AOO, "GET", "/operations", "List operations."),
    ("operation:show", _AOO, "GET", "/operations/{id}", "Show an operation with its steps."),
)


def list_rules() -> list[policy.RuleDefault]:
    """Return every rule with its default."""
    base = [policy.RuleDefault(name, check, text) for name, check, text in _BASE]
    return base + [
        policy.DocumentedRuleDefault(
            name, check, text, [{"method": method, "path": f"/v1.0/{{project_id}}{path}"}]
        )
        for name, check, method, path, text in _RULES
    ]


class Policy:
    """Decides by the rules, and the operator's file where there is one."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        opts.set_defaults(conf, policy_file="policy.yaml")
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(list_rules())
        self._enforcer.load_rules()
        self._decided: dict[tuple[object, ...], tuple[float, bool]] = {}

    def is_admin(self, who: Context) -> bool:
        return self._allows("context_is_admin", who, who.project_id)

    def check(self, who: Context, rule: str, project_id: str | None = None) -> None:
        """Raise `Forbidden` unless `who` may do `rule` to what belongs to `project_id`.

        Without a project it is the caller's own.
        """
        if not self._allows(rule, who, project_id or who.project_id):
            raise errors.Forbidden(f"Policy doesn't allow {rule} to be performed.")

    def _allows(self, rule: str, who: Context, project_id: str) -> bool:
        question = (rule, who.roles, who.user_id, who.project_id, project_id)
        now = time.monotonic()
        until, allowed = self._decided.get(question, (0.0, False))
        if until < now:
            allowed = self._decide(rule, who, project_id)
            if len(self._decided) >= _MOST:
                self._decided = {}
            self._decided[question] = (now + REMEMBERED, allowed)
        return allowed

    def _decide(self, rule: str, who: Context, project_id: str) -> bool:
        credentials = {
            "roles": list(who.roles),
            "project_id": who.project_id,
            "tenant": who.project_id,
            "user_id": who.user_id,
        }
        target = {"tenant": project_id, "project_id": project_id}
        return bool(self._enforcer.enforce(rule, target, credentials))


def sample() -> str:
    """Return the text of `policy.yaml.sample`: every rule with its default, commented out."""
    return "\n".join(_sample_lines())


def _sample_lines() -> Iterator[str]:
    yield "# Who may do what. Every rule is shown with its default."
    for rule in list_rules():
        yield ""
        yield f"# {rule.description}"
        for operation in getattr(rule, "operations", ()):
            yield f"# {operation['method']} {operation['path']}"
        yield f'#"{rule.name}": "{rule.check_str}"'
    yield ""
