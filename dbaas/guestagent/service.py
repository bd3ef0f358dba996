"""The guest agent: carries out what the control plane orders, on the database server beside it."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from dbaas.contract.messages import CONTACT_FILE
from dbaas.engines.base import Places
from dbaas.guestagent import identity
from dbaas.guestagent.archiver import archiver_of
from dbaas.guestagent.desk import Desk
from dbaas.guestagent.endpoint import Endpoint
from dbaas.guestagent.identity import Paths
from dbaas.guestagent.journal import Journal
from dbaas.guestagent.reporter import Reporter
from dbaas.guestagent.session import Session
from dbaas.guestagent.supervisor import Supervisor
from dbaas.guestagent.transfers import Transfers
from dbaas.guestagent.volume import Volume
from dbaas.host import disks
from dbaas.rpc.guests import AgentLink

LOG = logging.getLogger(__name__)

STATE = Path("/var/lib/dbaas/agent")


def main() -> None:
    """Run until SIGTERM; the database server goes on without us.

    With `--root`, the guest is a directory and an address of a machine that others use as well.
    With `--find-volume`, nobody but the agent mounts the data volume.
    """
    given = _given(sys.argv[1:])
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    os.umask(0o022)
    session, supervisor = assemble(*_where(given.root, given.address), given.find_volume)

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the handler's form
        supervisor.leave()
        session.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    session.run()
    LOG.info("stopped")


@dataclass(frozen=True)
class Given:
    """What the agent's command line says."""

    root: Path | None = None
    address: str = "*"
    find_volume: bool = False


def _given(arguments: Sequence[str]) -> Given:
    if not arguments:
        return Given()
    import argparse  # only now: it takes a tenth of a guest's start, and most have no arguments

    parser = argparse.ArgumentParser(prog="dbaas-guestagent", description=__doc__)
    parser.add_argument("--root", type=Path, help="directory to take for the machine's root")
    parser.add_argument("--address", default="*", help="where the database server is to listen")
    parser.add_argument(
        "--find-volume",
        action="store_true",
        help="find the data volume among the machine's disks, format it if it is empty, mount it",
    )
    return Given(**vars(parser.parse_args(arguments)))


def _where(root: Path | None, address: str) -> tuple[Paths, Places]:
    """Return where all is: on a machine of its own, or below a directory."""
    own = Places()
    if root is None:
        return Paths(STATE, Path(CONTACT_FILE)), replace(own, address=address)

    def below(path: Path) -> Path:
        return root / path.relative_to("/")

    places = Places(
        volume=below(own.volume),
        configuration=below(own.configuration),
        runtime=root / "run",  # short, since unix sockets are there
        logs=below(own.logs),
        templates=below(own.templates),
        address=address,
        alone=False,
    )
    places.runtime.mkdir(exist_ok=True)
    return Paths(below(STATE), below(Path(CONTACT_FILE))), places


def assemble(paths: Paths, places: Places, find_volume: bool = False) -> tuple[Session, Supervisor]:
    """Return an agent's main loop, which is to be run, and its other half, which works already."""
    paths.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    boot = identity.count_boot(paths)
    journal = Journal(paths.state)
    reporter = Reporter(boot, journal)
    attached = disks.attached if find_volume else None
    volume = Volume(places.volume, paths.state / "volume.json", attached)
    transfers = Transfers()
    supervisor = Supervisor(
        places,
        volume,
        paths.state / "engine.json",
        reporter.heartbeat,
        progress=transfers.progress,
        archive=lambda: archiver.report(),
    )
    archiver = archiver_of(paths.state, supervisor)
    transfers.tell = supervisor.say_again
    desk = Desk(
        journal,
        lambda task: Endpoint(
            task, supervisor, session.introduce, desk.cancel, transfers, archiver
        ),
        reporter.log,
    )
    session = Session(paths, desk, reporter, AgentLink, supervisor.say_again)
    LOG.info("agent started, boot %d", boot)
    supervisor.start()
    archiver.start()
    desk.start()
    return session, supervisor
