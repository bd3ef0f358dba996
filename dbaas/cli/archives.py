"""`dbaas archive`: what servers log is kept, so that any second can be gone back to."""

import typer

from dbaas.cli import session, show, waiting
from dbaas.cli.session import Name
from dbaas.cli.waiting import Wait

archives = typer.Typer(no_args_is_help=True, help="Archives of what database servers log.")


@archives.command("on")
def begin_archive(name: Name, wait: Wait = True) -> None:
    """Store what the instance's server logs; a full backup taken from then on is gone on from."""
    _switch(name, enabled=True, wait=wait)


@archives.command("off")
def end_archive(name: Name, wait: Wait = True) -> None:
    """Store no more of it. What is stored stays as long as a backup can be gone on from."""
    _switch(name, enabled=False, wait=wait)


@archives.command("show")
def show_archive(name: Name) -> None:
    """Show to which moments the instance can be restored, and how its archive is."""
    with session.client() as client:
        id_ = client.instance_id(name)
        show.OUT.print_json(data=client.get(f"/instances/{id_}/recovery")["recovery"])


def _switch(name: str, *, enabled: bool, wait: bool) -> None:
    with session.client() as client:
        id_ = client.instance_id(name)
        client.post(f"/instances/{id_}/action", {"archive": {"enabled": enabled}})
        waiting.follow(client, wait=wait)
