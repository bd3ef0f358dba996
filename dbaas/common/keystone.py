"""Sessions with Keystone, for the rooms that speak with an OpenStack's services."""

import keystoneauth1.exceptions
from keystoneauth1 import loading
from keystoneauth1.session import Session
from oslo_config import cfg

from dbaas.contract import errors


def register(conf: cfg.ConfigOpts, group: str) -> None:
    """Add keystoneauth's options for credentials and TLS to a group."""
    loading.register_auth_conf_options(conf, group)
    loading.register_session_conf_options(conf, group)


def session(conf: cfg.ConfigOpts, group: str, timeout: float) -> Session:
    """Return a session with a group's credentials; raise `Invalid` when there are none.

    It gets a new token when the old one ends, by itself. Threads may share it. `timeout`: seconds.
    """
    try:
        auth = loading.load_auth_from_conf_options(conf, group)
    except keystoneauth1.exceptions.MissingRequiredOptions as error:
        raise errors.Invalid(f"[{group}] {error}") from error
    if auth is None:
        raise errors.Invalid(f"[{group}] auth_type: say how to log in, as 'password'")
    made: Session = loading.load_session_from_conf_options(conf, group, auth=auth, timeout=timeout)
    return made
