"""Talk to the control plane: one connection, owned by this loop, for as long as the guest lives."""

import contextlib
import logging
import os
import random
import select
from collections.abc import Callable, Iterator
from typing import Protocol

from dbaas.contract import errors
from dbaas.contract.messages import Contact, Introduction
from dbaas.guestagent import identity
from dbaas.guestagent.desk import Desk
from dbaas.guestagent.identity import Identity, Paths
from dbaas.guestagent.reporter import Reporter, Sender
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import Address

LOG = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before another attempt to connect; each is doubled, and jittered down to half."""
IDLE, BUSY = 0.25, 0.005
"""Seconds to listen for a command before looking at what is to be said; `BUSY` while a command
runs, whose answer somebody waits for."""


class Link(Sender, Protocol):
    """The connection: `dbaas.rpc.guests.AgentLink`."""

    def connect(self) -> None: ...

    def poll(self, timeout: float) -> bytes | None: ...

    def acknowledge(self) -> None: ...

    def close(self) -> None: ...


class Session:
    """The agent's main loop."""

    def __init__(
        self,
        paths: Paths,
        desk: Desk,
        reporter: Reporter,
        dial: Callable[[Address, str], Link],
        greet: Callable[[], None] = lambda: None,
    ) -> None:
        """`greet` is called after each connect: it has the guest's health said at once."""
        self._paths = paths
        self._desk = desk
        self._reporter = reporter
        self._dial = dial
        self._greet = greet
        self._me: Contact | Identity | None = None
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._connected = False

    def stop(self) -> None:
        """End `run` soon; takes no lock, since a signal's handler calls it."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        """Connect, serve, and connect again whatever happens, until `stop` is called."""
        pause = FIRST_PAUSE
        resumed = False
        while not self._stopping:
            self._connected = False
            try:
                self._me = identity.current(self._paths)
                if self._me is not None:
                    if not resumed:
                        self._resume(self._me)
                        resumed = True
                    self._serve(self._me)
                    continue  # as somebody else
            except (errors.Error, OSError) as error:
                LOG.warning("no connection: %s", error)
            if self._connected:
                pause = FIRST_PAUSE
            select.select([self._wake], [], [], pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)

    def introduce(self, order: Introduction) -> None:
        """Be who `order` says from now on; the answer goes out over the new connection."""
        if self._me is None:
            raise errors.Conflict("nobody has contacted this agent")
        self._me = identity.become(self._paths, self._me, order)

    def _serve(self, me: Contact | Identity) -> None:
        """Take commands and send answers; return when it has to be done as somebody else."""
        with self._connection(me) as link:
            self._greet()
            while not self._stopping:
                if isinstance(self._me, Identity):
                    self._reporter.publish(link, self._me)
                message = link.poll(BUSY if self._desk.busy else IDLE)
                if message is None:
                    continue
                self._take(message)
                link.acknowledge()
                if self._me is None or identity.address(self._me) != identity.address(me):
                    return

    @contextlib.contextmanager
    def _connection(self, me: Contact | Identity) -> Iterator[Link]:
        where = identity.address(me)
        link = self._dial(where, me.instance)
        link.connect()
        self._connected = True
        LOG.info("connected to %s:%d as %s", where.host, where.port, where.user)
        try:
            yield link
        finally:
            link.close()

    def _resume(self, me: Contact | Identity) -> None:
        """Go on with what an earlier life of the agent accepted and did not finish."""
        for command, message in self._desk.unfinished():
            try:
                header, body = self._verified(me, message)
            except errors.Error as error:
                LOG.warning("command %s is forgotten: %s", command, error)
                self._desk.discard(command)
            else:
                self._desk.resume(header, body)

    def _take(self, message: bytes) -> None:
        with self._refusing():
            if self._me is None:
                return
            header, body = self._verified(self._me, message)
            if isinstance(self._me, Identity) and header.key == self._me.key_id:
                self._forget_contact(self._me)
            self._desk.take(header, body, message)

    def _forget_contact(self, me: Identity) -> None:
        if me.contact_key is not None:
            self._me = identity.forget_contact(self._paths, me)

    def _verified(self, me: Contact | Identity, message: bytes) -> tuple[Header, bytes]:
        """Return header and body; raise `Invalid` or `Forbidden` for what is not meant for us."""
        header = envelope.peek(message)
        if header.instance != me.instance or header.direction != envelope.DOWN:
            raise errors.Forbidden("it is not for this guest")
        key = identity.command_keys(me).get(header.key)
        if key is None:
            raise errors.Forbidden(f"there is no key {header.key!r} here")
        is_known = isinstance(me, Identity) and header.key == me.key_id
        if not is_known and header.method != "introduce":
            raise errors.Forbidden(f"{header.method!r} may not come under {header.key!r}")
        return envelope.unseal(key, message, header)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """What is refused is acknowledged and forgotten: it would come again and again else."""
        try:
            yield
        except (errors.Invalid, errors.Forbidden, errors.Conflict) as error:
            LOG.warning("refused a message: %s", error)
