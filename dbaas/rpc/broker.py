"""Makes and removes what guests need in the broker, through RabbitMQ's management API.

Everything here may be repeated. A guest may publish to its own exchange and read its own queue, and
nothing else. Both are bounded, since a memory alarm would block everybody, and refuse what comes
when they are full: the sender knows, and says it again later. Were the oldest dropped instead, one
guest could drown what its neighbours have said. An event queue is bounded in messages, too: who
says something must not wait for more than a second or two until the flood before it was read. What
is two minutes old is worth nothing any more.
"""

import json
import re
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import urllib3
from oslo_config import cfg

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.rpc import guests

GROUP = "guest_bus"
OPTS = [
    cfg.StrOpt(
        "url",
        secret=True,
        help="The guests' virtual host as the control plane reaches it, "
        "amqp://USER:PASSWORD@HOST:PORT/VHOST. The user needs every right on it.",
    ),
    cfg.StrOpt(
        "management_url",
        secret=True,
        help="RabbitMQ's management API, http://USER:PASSWORD@HOST:PORT. The user is that of `url` "
        "and an administrator: it makes and removes the guests' users.",
    ),
    cfg.StrOpt("guest_host", help="Address of the broker as guests reach it; its certificate's."),
    cfg.PortOpt("guest_port", default=5671, help="Port on which the broker takes guests, by TLS."),
    cfg.StrOpt(
        "ca_file",
        help="PEM file with the authority that signed the broker's certificate; guests trust it.",
    ),
]

COMMAND_BYTES = 8 << 20
EVENT_BYTES = 32 << 20
EVENT_MESSAGES = 3_000
"""What a conductor takes in some two seconds: so late is a guest whose neighbour floods the queue.
A queue of 250 guests holds as many in two minutes without a conductor."""
EVENT_SECONDS = 120
LIMITS = {"max-connections": 4, "max-channels": 8}

_TIMEOUT = urllib3.Timeout(connect=3.0, read=10.0)
_CLOSING_TRIES = 5
_KEPT = 20
"""Connections that are kept for the next call."""
_EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
_EVENTS = "hb|result|log"


class Broker:
    """The guests' virtual host; for any number of threads."""

    def __init__(self, management_url: str, vhost: str = "guest") -> None:
        parts = urllib.parse.urlsplit(management_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username:
            raise errors.Invalid("the management API's URL is http://USER:PASSWORD@HOST:PORT")
        self._user = urllib.parse.unquote(parts.username)
        self._vhost = urllib.parse.quote(vhost, safe="")
        self._vhost_name = vhost
        login = f"{self._user}:{urllib.parse.unquote(parts.password or '')}"
        self._headers = {
            "content-type": "application/json",
            **urllib3.make_headers(basic_auth=login, keep_alive=True),
        }
        server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._pool = urllib3.connection_from_url(server, maxsize=_KEPT)

    def close(self) -> None:
        self._pool.close()

    def ensure_topology(self) -> None:
        """Make the virtual host, the exchange for commands and the queues for events."""
        self._put(f"vhosts/{self._vhost}", {})
        self._put(f"permissions/{self._vhost}/{_quoted(self._user)}", _EVERYTHING)
        self._put(f"exchanges/{self._vhost}/{guests.COMMANDS}", {"type": "direct", "durable": True})
        for queue in guests.EVENT_QUEUES:
            more = {"x-max-length": EVENT_MESSAGES, "x-message-ttl": EVENT_SECONDS * 1000}
            self._put_queue(queue, EVENT_BYTES, more)

    def add_guest(self, instance: str, user: str, password: Secret) -> None:
        """Make the instance's queue and exchange, and a user who may do what a guest may.

        For a user who is there the password is set anew; open connections stay.
        """
        queue, exchange = guests.command_queue(instance), guests.event_exchange(instance)
        self._put_queue(queue, COMMAND_BYTES, {})
        self._put(f"exchanges/{self._vhost}/{exchange}", {"type": "topic", "durable": True})
        self._bind(guests.COMMANDS, queue, instance)
        self._bind(exchange, guests.event_queue(instance), f"{exchange}.*")
        self.add_user(instance, user, password)

    def add_user(self, instance: str, user: str, password: Secret) -> None:
        """Let a further user do what the guest may, whose queue and exchange are there."""
        queue, exchange = guests.command_queue(instance), guests.event_exchange(instance)
        login = {"password": password.reveal(), "tags": "", "limits": LIMITS}
        self._put(f"users/{_quoted(user)}", login)
        self._put(
            f"topic-permissions/{self._vhost}/{_quoted(user)}",
            {
                "exchange": exchange,
                "write": rf"^{re.escape(exchange)}\.({_EVENTS})$",
                "read": "^$",
            },
        )
        self._put(
            f"permissions/{self._vhost}/{_quoted(user)}",
            {
                "configure": "^$",
                "write": f"^{re.escape(exchange)}$",
                "read": f"^{re.escape(queue)}$",
            },
        )

    def remove_user(self, user: str) -> None:
        """Delete the user; the broker closes its connections."""
        self._delete(f"users/{_quoted(user)}")
        self._close_connections(user)

    def remove_guest(self, instance: str, users: tuple[str, ...]) -> None:
        """Delete all that `add_guest` made, for each of the `users`."""
        for user in users:
            self.remove_user(user)
        self._delete(f"exchanges/{self._vhost}/{guests.event_exchange(instance)}")
        self._delete(f"queues/{self._vhost}/{guests.command_queue(instance)}")

    def quarantine(self, instance: str, users: tuple[str, ...]) -> None:
        """Let nothing of this guest in any more; its queue and exchange stay for the audit.

        Its exchange is unbound first: a live connection may go on publishing for a moment.
        """
        exchange = guests.event_exchange(instance)
        queue = guests.event_queue(instance)
        key = _quoted(f"{exchange}.*")
        self._delete(f"bindings/{self._vhost}/e/{exchange}/q/{queue}/{key}")
        for user in users:
            self.remove_user(user)

    def objects(self) -> set[str]:
        """Return what is in the broker for guests, as `user NAME`, `queue NAME`, `exchange NAME`,
        `binding EXCHANGE QUEUE` and `permission USER`; one call, however many there are."""
        found = self._call("GET", "definitions").json()
        return {
            *(f"user {user['name']}" for user in found["users"] if user["name"] != self._user),
            *(f"queue {queue['name']}" for queue in self._here(found["queues"])),
            *(f"exchange {exchange['name']}" for exchange in self._here(found["exchanges"])),
            *(f"permission {right['user']}" for right in self._here(found["permissions"])),
            *(
                f"binding {binding['source']} {binding['destination']}"
                for binding in self._here(found["bindings"])
            ),
        }

    def depths(self) -> dict[str, int]:
        """Return how many messages wait, a few seconds ago: `events` of guests, `commands` for
        them; two calls, however many queues there are. A queue counts as empty in its first
        seconds: the broker knows nothing but its name then."""
        prefix = re.escape(guests.EVENT_QUEUES[0].rstrip("0123456789"))
        only = f"page=1&page_size=100&use_regex=true&name={_quoted(f'^{prefix}')}"
        found = self._call("GET", f"queues/{self._vhost}?columns=name,messages&{only}").json()
        events = sum(int(queue.get("messages", 0)) for queue in found["items"])
        whole = int(self._call("GET", f"vhosts/{self._vhost}").json().get("messages", 0))
        return {"events": events, "commands": max(0, whole - events)}

    def _here(self, things: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [thing for thing in things if thing["vhost"] == self._vhost_name]

    def _put_queue(self, name: str, size: int, arguments: Mapping[str, object]) -> None:
        bounds = {"x-max-length-bytes": size, "x-overflow": "reject-publish"}
        self._put(
            f"queues/{self._vhost}/{name}", {"durable": True, "arguments": {**bounds, **arguments}}
        )

    def _bind(self, exchange: str, queue: str, key: str) -> None:
        self._call("POST", f"bindings/{self._vhost}/e/{exchange}/q/{queue}", {"routing_key": key})

    def _close_connections(self, user: str) -> None:
        """RabbitMQ closes a deleted user's connections by itself, but in its own time.

        It fails over one that it has listed and that ends before it is closed: then it is asked for
        the others again.
        """
        path = f"connections/username/{_quoted(user)}"
        fails = HTTPStatus.INTERNAL_SERVER_ERROR
        fine = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, fails)
        for _ in range(_CLOSING_TRIES):
            if self._call("DELETE", path, absent=fine).status != fails:
                return
        raise errors.Unavailable(f"the broker cannot close the connections of {user}")

    def _put(self, path: str, content: Mapping[str, object]) -> None:
        self._call("PUT", path, content)

    def _delete(self, path: str) -> None:
        self._call("DELETE", path, absent=(HTTPStatus.NOT_FOUND,))

    def _call(
        self,
        method: str,
        path: str,
        content: Mapping[str, object] | None = None,
        absent: tuple[HTTPStatus, ...] = (),
    ) -> urllib3.BaseHTTPResponse:
        """Call the API; an answer in `absent` is fine too. The errors are those of `contract`."""
        try:
            answer = self._pool.request(
                method,
                f"/api/{path}",
                body=None if content is None else json.dumps(content),
                headers=self._headers,
                timeout=_TIMEOUT,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise errors.Unavailable("the broker's management API does not answer") from error
        if answer.status < HTTPStatus.BAD_REQUEST or answer.status in absent:
            return answer
        said = answer.data.decode(errors="replace")[:500]
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise errors.Unavailable(f"the broker fails ({answer.status}): {said}")
        if answer.status == HTTPStatus.NOT_FOUND:
            raise guests.Gone(f"the broker has no {path}")
        raise errors.Failed(f"the broker refuses {method} {path}: {said}")


def from_conf(conf: cfg.ConfigOpts) -> Broker:
    """Return the broker of this deployment; raise `Invalid` when it is not configured."""
    options = conf[GROUP]
    if not options.management_url or not options.url:
        raise errors.Invalid("[guest_bus] url and management_url are not set")
    return Broker(options.management_url, guests.address(options.url).vhost)


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
