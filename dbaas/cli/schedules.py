"""`dbaas schedule`: backups that are made again and again."""

from typing import Annotated

import typer

from dbaas.cli import session, show
from dbaas.cli.client import Json

schedules = typer.Typer(no_args_is_help=True, help="Schedules of backups.")

Schedule = Annotated[str, typer.Argument(help="Name or id of the schedule.")]
Cron = Annotated[
    str, typer.Argument(help="When: minute, hour, day, month, weekday, as '0 3 * * *'.")
]
Full = Annotated[
    str | None, typer.Option(help="Which of the runs are full ones, as '0 3 * * 0'; else all.")
]
Zone = Annotated[str | None, typer.Option(help="Whose clocks count, as Europe/Berlin; else UTC.")]
Count = Annotated[int | None, typer.Option(help="How many are kept; else all.")]
Days = Annotated[int | None, typer.Option(help="For how many days they are kept; else ever.")]
Verify = Annotated[bool | None, typer.Option(help="Whether each is restored for a trial.")]


@schedules.command("list")
def list_schedules(
    instance: Annotated[str | None, typer.Option(help="Only those of this instance.")] = None,
) -> None:
    """List schedules, with their next runs and what went wrong in the last."""
    with session.client() as client:
        query = {} if instance is None else {"instance_id": client.instance_id(instance)}
        show.table(
            ("id", "name", "instance", "cron", "timezone", "on", "next run", "last run", "fault"),
            (
                (
                    one["id"], one["name"], one["instance_id"], one["cron"], one["timezone"],
                    "yes" if one["enabled"] else "no", one["next_run"], one["last_run"],
                    one["last_fault"],
                )
                for one in client.schedules(**query)
            ),
        )  # fmt: skip


@schedules.command("show")
def show_schedule(name: Schedule) -> None:
    """Show one schedule."""
    with session.client() as client:
        show.OUT.print_json(data=client.schedule(name))


@schedules.command("create")
def create_schedule(
    instance: session.Name,
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    cron: Cron,
    full: Full = None,
    timezone: Zone = None,
    keep: Count = None,
    days: Days = None,
    verify: Verify = None,
) -> None:
    """Have an instance backed up by time."""
    with session.client() as client:
        asked: Json = {
            "name": name,
            "instance": client.instance_id(instance),
            "cron": cron,
            "full_cron": full,
            "timezone": timezone,
            "retention": _retention(keep, days),
            "verify": verify,
        }
        known = {key: value for key, value in asked.items() if value is not None}
        made = client.post("/backup_schedules", {"backup_schedule": known})["backup_schedule"]
        show.OUT.print(f"{made['id']}  next run {made['next_run']} UTC")


def _retention(keep: int | None, days: int | None) -> Json | None:
    return None if keep is None and days is None else {"count": keep, "days": days}


@schedules.command("enable")
def enable_schedule(name: Schedule) -> None:
    """Let it run again, from its next time on."""
    _change(name, enabled=True)


@schedules.command("disable")
def disable_schedule(name: Schedule) -> None:
    """Let it not run until it is enabled again."""
    _change(name, enabled=False)


def _change(name: str, **values: object) -> None:
    with session.client() as client:
        id_ = client.schedule(name)["id"]
        client.patch(f"/backup_schedules/{id_}", {"backup_schedule": values})


@schedules.command("delete")
def delete_schedule(name: Schedule) -> None:
    """Delete a schedule; the backups that it made stay."""
    with session.client() as client:
        client.delete(f"/backup_schedules/{client.schedule(name)['id']}")
