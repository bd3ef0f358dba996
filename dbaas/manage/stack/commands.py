"""`dbaas-manage stack`: starts, stops and shows everything on one host.

Settings of your own go into the file local.conf in the stack's directory: the services read it
after dbaas.conf, which every start writes anew.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from dbaas.contract import errors
from dbaas.manage.stack import broker, guests, lifecycle
from dbaas.manage.stack.plan import Plan

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

_NOT_RUNNING = 3
"""Exit status of `status` when something does not run; the Linux Standard Base has this number."""

_WIDTH = 112
"""Characters that a line of `status` needs; a narrower terminal wraps it, and loses nothing."""

Directory = Annotated[
    Path, typer.Option("--dir", help="Where the stack keeps everything.", file_okay=False)
]
Names = Annotated[list[str] | None, typer.Argument(help="Programs; without any, all.")]


Counts = Annotated[
    list[str] | None,
    typer.Option(
        "--count",
        metavar="SERVICE=N",
        help="Run several of a service, as in dbaas-taskmanager=3. It is kept until changed.",
    ),
]


@app.callback()
def remember_directory(context: typer.Context, directory: Directory = Path(".run")) -> None:
    context.obj = directory.resolve()


@app.command()
def up(context: typer.Context, names: Names = None, count: Counts = None) -> None:
    """Start what does not run, and say where it is."""
    try:
        plan = lifecycle.up(context.obj, names or lifecycle.PROGRAMS, _say, _counts(count or []))
    except errors.Error as error:
        raise _failure(error) from error
    _introduce(plan)


def _counts(words: list[str]) -> dict[str, int]:
    pairs = [word.partition("=") for word in words]
    if any(not number.isdecimal() for _, _, number in pairs):
        raise errors.Invalid("--count takes SERVICE=N")
    return {name: int(number) for name, _, number in pairs}


@app.command()
def down(context: typer.Context) -> None:
    """Stop everything; guests and state come back with `up`."""
    try:
        lifecycle.down(context.obj, _say)
    except errors.Error as error:
        raise _failure(error) from error


@app.command()
def restart(context: typer.Context, names: Names = None) -> None:
    """Restart programs; without names, the services. Guests do not notice."""
    try:
        lifecycle.restart(context.obj, names or lifecycle.RESTARTED, _say)
    except errors.Error as error:
        raise _failure(error) from error


@app.command()
def clean(context: typer.Context) -> None:
    """Stop everything and remove all data, that of the guests too."""
    try:
        lifecycle.clean(context.obj, _say)
    except errors.Error as error:
        raise _failure(error) from error


@app.command()
def status(context: typer.Context) -> None:
    """Show every program and guest, with uptime and memory."""
    try:
        lines = lifecycle.status(context.obj)
    except errors.Error as error:
        raise _failure(error) from error
    name = Column("name", no_wrap=True)
    table = Table(name, "state", "pid", "uptime", "processes", "memory (PSS)")
    for line in lines:
        table.add_row(line.name, line.state, *(_details(line) if line.pid else ()))
    Console(width=max(Console().width, _WIDTH)).print(table)
    if any(line.state not in ("RUNNING", "ACTIVE") for line in lines):
        raise typer.Exit(_NOT_RUNNING)


def _details(line: lifecycle.Line) -> tuple[str, ...]:
    uptime = timedelta(seconds=int(line.uptime))
    memory = f"{line.usage.memory / (1 << 20):.1f} MiB"
    return (str(line.pid), str(uptime), str(line.usage.processes), memory)


@app.command()
def logs(context: typer.Context) -> None:
    """Follow the logs of everything."""
    try:
        paths = lifecycle.log_files(context.obj)
    except errors.Error as error:
        raise _failure(error) from error
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, paths)])  # noqa: S606, S607  # no shell


@app.command(context_settings={"ignore_unknown_options": True})
def rabbitmqctl(context: typer.Context, arguments: list[str]) -> None:
    """Run rabbitmqctl on the stack's broker."""
    try:
        _say(broker.control(lifecycle.existing(context.obj), *arguments))
    except errors.Error as error:
        raise _failure(error) from error


def _introduce(plan: Plan) -> None:
    _say(f"API        {plan.api_url}")
    _say(f"catalog    mariadb --socket {plan.catalog / 'catalog.sock'} dbaas")
    _say(f"broker     http://127.0.0.1:{plan.ports.management} (user control, credentials.json)")
    _say(f"guests     {plan.subnet}")
    _say(f"backups    {plan.backups}")
    _say(f"to use it  . {plan.openrc('demo')}")
    if missing := guests.shortcomings(plan):
        _say(f"\n{missing}")


def _say(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(text, markup=False)


def _failure(error: errors.Error) -> typer.Exit:
    Console(stderr=True, highlight=False, soft_wrap=True).print(error.text, markup=False)
    return typer.Exit(1)
