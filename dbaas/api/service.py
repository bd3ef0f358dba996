"""The API's process: gunicorn, one listening socket, workers with threads."""

import gc
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from oslo_config import cfg

from dbaas.api import app, options
from dbaas.api.announcements import SERVICE, Announcing
from dbaas.api.offers import CloudOffers
from dbaas.catalog import unit
from dbaas.catalog.unit import Catalog
from dbaas.cloud import drivers
from dbaas.common import config, killpoints, logs, sealing
from dbaas.common.shared import Shared
from dbaas.contract import errors
from dbaas.rpc import control, notifications
from dbaas.rpc.notifications import Notifier

LOG = logging.getLogger(__name__)

MODULES = (options, unit, sealing, logs, drivers, notifications)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The application is made before the fork, so that workers share its memory."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._catalog = Catalog(conf)
        self._waker = control.Waker(conf)
        offers = CloudOffers(drivers.load(conf))
        self._notifier = Notifier(conf, SERVICE)
        announcing = Announcing(self._waker, self._notifier.send, self._catalog)
        self._leaving = Shared(1)
        self._made = app.make(
            conf,
            self._catalog,
            offers,
            announcing,
            reached=killpoints.from_environment(),
            is_leaving=self._is_leaving,
        )
        gc.freeze()  # what is loaded by now stays shared with the workers: no collection touches it
        super().__init__()

    def load_config(self) -> None:
        section = self._conf[options.GROUP]
        settings = {
            "bind": f"{section.bind_host}:{section.bind_port}",
            "worker_class": _Worker,
            "workers": section.workers,
            "threads": section.threads,
            "graceful_timeout": section.graceful_timeout,
            "keepalive": 75,
            "preload_app": True,
            "proc_name": "dbaas-api",
            "control_socket_disable": True,
            "logger_class": _Logger,
            "post_worker_init": self._enter,
            "worker_exit": self._leave,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> app.App:
        return self._made

    def run(self) -> None:
        _Arbiter(self, self._leave_load_balancer).run()

    def _leave_load_balancer(self) -> None:
        """Serve on until it has noticed that it should send requests elsewhere."""
        with self._leaving.locked() as leaving:
            leaving[0] = 1.0
        time.sleep(self._conf[options.GROUP].drain)

    def _is_leaving(self) -> bool:
        with self._leaving.locked() as leaving:
            return leaving[0] > 0

    def _enter(self, _worker: Worker) -> None:
        self._waker.start()

    def _leave(self, _arbiter: Arbiter, _worker: Worker) -> None:
        self._waker.close()
        self._notifier.close()
        self._catalog.close()


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Has something done before it stops, while its workers go on."""

    def __init__(self, server: Server, before_stop: Callable[[], None]) -> None:
        super().__init__(server)
        self._before_stop = before_stop

    def handle_term(self) -> None:
        self._before_stop()
        super().handle_term()


class _Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves with threads, and cuts nobody off when it is told to stop.

    Gunicorn's own (27.0) listens until the last request in hand is answered, but takes no
    connection any more: those that come meanwhile are cut in the end, with a request in them. Here
    who has connected is served, and who comes later is refused, so that a proxy asks another API.
    """

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                self._take_all(listener)
                listener.close()

    def _take_all(self, listener: Any) -> None:
        known = -1
        while known != self.nr_conns:
            known = self.nr_conns
            self.accept(listener)


class _Logger:
    """Gunicorn's own messages, in our log; requests are logged by the application."""

    def __init__(self, _cfg: Any) -> None:
        self._log = logging.getLogger("dbaas.api.gunicorn")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def access(self, *_arguments: Any) -> None: ...

    def reopen_files(self) -> None: ...

    def close_on_exec(self) -> None: ...


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are answered first."""
    try:
        conf = config.load(sys.argv[1:], MODULES, before=logs.register)
        logs.setup(conf, "api")
        server = Server(conf)
    except (errors.Error, cfg.Error) as error:
        sys.exit(f"dbaas-api cannot start: {error}")
    server.run()


if __name__ == "__main__":
    main()
