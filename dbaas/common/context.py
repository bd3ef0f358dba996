"""Who asks: the identity behind a request, and what its log lines are found by."""

from dataclasses import dataclass

from oslo_context.context import RequestContext, get_current


@dataclass(frozen=True)
class Context:
    """An authenticated request. `is_admin` follows from the policy `context_is_admin`."""

    user_id: str
    project_id: str
    roles: tuple[str, ...]
    request_id: str
    client_ip: str = ""
    is_admin: bool = False


def log_under(request_id: str) -> None:
    """Put this request id on every line that this thread logs from now on."""
    RequestContext(request_id=request_id)


def log_as(who: Context) -> None:
    """Put user and project on them, too; after `log_under`."""
    logged = get_current()
    if logged is not None:
        logged.user_id = who.user_id
        logged.project_id = who.project_id
