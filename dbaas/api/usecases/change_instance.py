"""Changing an instance that exists: name, access, restart, size, status, end.

Each runs in the transaction that accepts it, under the lock of the instance's row, and returns the
operation to wake, if there is one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dbaas.api.services import Services
from dbaas.api.usecases.create_instance import checked_size
from dbaas.catalog import archives, backup_orders, guards, instances, operations, quotas
from dbaas.catalog.records import LockedInstance
from dbaas.catalog.unit import Unit
from dbaas.cloud.base import Flavor
from dbaas.common.context import Context
from dbaas.contract import errors
from dbaas.contract.requests import (
    DeleteInstance,
    Reach,
    ResetStatus,
    ResizeFlavor,
    ResizeVolume,
    RestartInstance,
    RotateKeys,
    SetArchiving,
    UpdateAccess,
)
from dbaas.contract.states import WORDS, Event, Status
from dbaas.engines import manifests


@dataclass(frozen=True)
class Call:
    """Who asks for what instance, and what with."""

    instance_id: str
    who: Context
    services: Services


Change = Callable[[Unit, Call], str | None]


def rename(name: str | None) -> Change:
    """Without a name nothing changes, but the instance must be there."""

    def work(unit: Unit, call: Call) -> str | None:
        instance = _locked(unit, call)
        if name is not None:
            instances.rename(unit, instance.id, name)
        return None

    return work


def update_access(name: str | None, new: Reach) -> Change:
    """Let it be reached from elsewhere, and rename it where a name is given."""

    def work(unit: Unit, call: Call) -> str | None:
        instance = _ready(unit, call)
        if name is not None:
            instances.rename(unit, instance.id, name)
        instances.move(unit, instance, Event.UPDATE)
        body = UpdateAccess(old=instances.reach_of(instance.access), new=new)
        return _accept(unit, call, instance, "update_access", body)

    return work


def detach_replica(unit: Unit, call: Call) -> str | None:
    instance = _locked(unit, call)
    raise errors.Invalid(f"Instance {instance.id} is not a replica: it follows nothing.")


def restart(unit: Unit, call: Call) -> str | None:
    instance = _ready(unit, call)
    instances.move(unit, instance, Event.RESTART)
    return _accept(unit, call, instance, "restart_instance", RestartInstance())


def resize_volume(size: int | float | str) -> Change:
    def work(unit: Unit, call: Call) -> str | None:
        instance = _locked(unit, call)
        new = checked_size(size, call.services.options.max_accepted_volume_size)
        if new <= instance.volume_gib:
            raise errors.Invalid(
                f"The volume has {instance.volume_gib} GiB and can only grow: {new} is not more."
            )
        guards.check_ready(unit, instance)
        grown = {"volumes": new - instance.volume_charged_gib}
        quotas.charge(unit, instance.project_id, grown, call.services.quotas)
        instances.charge_volume(unit, instance.id, new)
        instances.move(unit, instance, Event.RESIZE)
        body = ResizeVolume(old_gib=instance.volume_gib, new_gib=new)
        return _accept(unit, call, instance, "resize_volume", body)

    return work


def resize_flavor(flavor: Flavor) -> Change:
    def work(unit: Unit, call: Call) -> str | None:
        instance = _locked(unit, call)
        if flavor.id == instance.flavor_id:
            raise errors.Invalid(f"The instance has the flavor {flavor.id} already: name another.")
        guards.check_ready(unit, instance)
        more = flavor.ram_mib - instance.ram_charged_mib
        if more > 0:  # less is given back when it is done: until then it can go back
            quotas.charge(unit, instance.project_id, {"ram": more}, call.services.quotas)
            instances.charge_ram(unit, instance.id, flavor.ram_mib)
        instances.move(unit, instance, Event.RESIZE)
        body = ResizeFlavor(
            old_flavor=instance.flavor_id,
            old_ram_mib=instance.flavor_ram_mib,
            new_flavor=flavor.id,
            new_ram_mib=flavor.ram_mib,
        )
        return _accept(unit, call, instance, "resize_flavor", body)

    return work


def set_archiving(enabled: bool) -> Change:
    """Archive what it logs from now on, or not any more. It stops nothing, so it takes no lock.

    What was asked for last is done last.
    """

    def work(unit: Unit, call: Call) -> str | None:
        instance = _ready(unit, call)
        engine, _ = archives.source(unit, instance.id)
        if enabled:
            manifests.archive(engine)
        return _accept(
            unit, call, instance, "set_archiving", SetArchiving(enabled), locks=(), in_turn=True
        )

    return work


def reset_status(unit: Unit, call: Call) -> str | None:
    """Stop whatever goes on. One that never was ready, or is half deleted, is written off."""
    instance = _locked(unit, call)
    whole = instance.ready and instance.status is not Status.DELETING
    instances.move(unit, instance, Event.RESET if whole else Event.WRITE_OFF)
    instances.distrust_health(unit, instance.id)
    return _accept(unit, call, instance, "reset_status", ResetStatus(), supersede=True)


def rotate_keys(unit: Unit, call: Call) -> str | None:
    """Give its guest other keys, and let it in again where it was shut out."""
    instance = _locked(unit, call)
    if not instance.ready or instance.status is Status.DELETING:
        raise guards.not_available(instance, "instance", WORDS[instance.status])
    return _accept(unit, call, instance, "rotate_keys", RotateKeys())


def delete(unit: Unit, call: Call) -> str | None:
    """Delete it, whatever goes on but a build; a delete that is going on is this one, too."""
    instance = _locked(unit, call)
    if instance.status is Status.DELETING:
        return None
    if instance.status is Status.BUILDING:
        raise errors.Busy(
            f"Instance {instance.id} is not ready. (Status is {WORDS[instance.status]})"
        )
    instances.move(unit, instance, Event.DELETE)
    return _accept(unit, call, instance, "delete_instance", DeleteInstance(), supersede=True)


def back_up_and_delete(name: str | None) -> Change:
    """Delete it after a last backup; when that fails, it stays, and says why."""

    def work(unit: Unit, call: Call) -> str | None:
        instance = _ready(unit, call)  # not one that is being deleted: perhaps without a backup
        wanted = backup_orders.Wanted(name or f"{instance.name} (final)"[:255], instance.id)
        order = backup_orders.order(unit, wanted, instance, call.services.backups)
        instances.move(unit, instance, Event.BACK_UP)
        body = DeleteInstance(final_backup=order)
        operation_id = _accept(unit, call, instance, "back_up_and_delete_instance", body)
        backup_orders.add(unit, wanted, instance, order, operation_id, call.who.user_id)
        return operation_id

    return work


def _locked(unit: Unit, call: Call) -> LockedInstance:
    return instances.lock(
        unit, call.instance_id, None if call.who.is_admin else call.who.project_id
    )


def _ready(unit: Unit, call: Call) -> LockedInstance:
    instance = _locked(unit, call)
    guards.check_ready(unit, instance)
    return instance


def _accept(
    unit: Unit,
    call: Call,
    instance: LockedInstance,
    kind: str,
    body: object,
    *,
    supersede: bool = False,
    locks: tuple[str, ...] | None = None,
    in_turn: bool = False,
) -> str:
    """`locks`: the instance's own, unless told otherwise."""
    request = operations.Request(
        kind=kind,
        instance_id=instance.id,
        project_id=instance.project_id,
        user_id=call.who.user_id,
        request_id=call.who.request_id,
        client_ip=call.who.client_ip,
        body=body,
        locks=(instance.id,) if locks is None else locks,
        supersede=supersede,
        in_turn=in_turn,
    )
    return operations.accept(unit, request, call.services.sealer)
