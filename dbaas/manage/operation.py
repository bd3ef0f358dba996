"""`dbaas-manage operation`: what is going on, and what to do about what stopped half way."""

from typing import Annotated

import typer
from rich.table import Column, Table

from dbaas.catalog import operation_views
from dbaas.catalog.operation_views import OperationView
from dbaas.manage.deployment import OUT, deployment

app = typer.Typer(no_args_is_help=True, help=__doc__)

Id = Annotated[str, typer.Argument(help="The operation's id.")]


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    project: Annotated[str | None, typer.Option(help="Only those of this project.")] = None,
    instance: Annotated[str | None, typer.Option(help="Only those of this instance.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
) -> None:
    """List operations, the newest first."""
    with deployment(context) as ours:
        views = ours.catalog.read(
            lambda unit: operation_views.page(
                unit, project, instance_id=instance, state=state, limit=limit
            )
        )
        whole = (Column(name, overflow="fold") for name in ("id", "kind", "instance"))
        table = Table(*whole, "state", "step", "created", "reason")
        for view in views:
            reason = view.fault.message if view.fault else ""
            table.add_row(
                view.id, view.kind, view.instance_id, view.state, _present(view),
                f"{view.created_at:%F %T}", reason,
            )  # fmt: skip
        OUT.print(table)


def _present(view: OperationView) -> str:
    at = [step.name for step in view.steps if step.state in ("running", "failed")]
    return at[-1] if at else ""


@app.command()
def show(context: typer.Context, operation_id: Id) -> None:
    """Show one operation with its steps."""
    with deployment(context) as ours:
        view = ours.catalog.read(lambda unit: operation_views.show(unit, operation_id))
    for name in (
        "id", "kind", "instance_id", "project_id", "user_id", "request_id", "state", "phase",
        "attempt", "owner", "superseded_by", "created_at", "updated_at", "finished_at", "run_at",
    ):  # fmt: skip
        value = getattr(view, name)
        OUT.print(f"{name:14} {'' if value is None else value}")
    if view.fault is not None:
        OUT.print(f"{'fault':14} {view.fault.kind}: {view.fault.message}", soft_wrap=True)
        OUT.print(view.fault.details, markup=False)
    table = Table("step", "state", "attempts", "seconds", "message")
    for step in view.steps:
        seconds = ""
        if step.started_at and step.finished_at:
            seconds = f"{(step.finished_at - step.started_at).total_seconds():.3f}"
        table.add_row(step.name, step.state, str(step.attempts), seconds, step.message)
    OUT.print(table)


@app.command()
def retry(context: typer.Context, operation_id: Id) -> None:
    """Let a parked operation try again, from the step at which it stopped."""
    with deployment(context) as ours:
        ours.catalog.run(lambda unit: operation_views.retry(unit, operation_id))
        OUT.print("It goes on within a second.")


@app.command()
def abandon(context: typer.Context, operation_id: Id) -> None:
    """End a parked operation as it is; what it made stays, until the instance is deleted."""
    with deployment(context) as ours:
        ours.catalog.run(lambda unit: operation_views.abandon(unit, operation_id))
        OUT.print("It is abandoned: its instance is free again.")
