"""The flows, one file per operation."""

from collections.abc import Mapping
from typing import Any

from dbaas.taskmanager.flow import Flow
from dbaas.taskmanager.flows.ask_guest import ASK_GUEST
from dbaas.taskmanager.flows.compact_archive import COMPACT_ARCHIVE
from dbaas.taskmanager.flows.create_backup import CREATE_BACKUP
from dbaas.taskmanager.flows.create_instance import CREATE_INSTANCE, RESTORE_INSTANCE
from dbaas.taskmanager.flows.delete_backups import DELETE_BACKUPS
from dbaas.taskmanager.flows.delete_instance import BACK_UP_AND_DELETE_INSTANCE, DELETE_INSTANCE
from dbaas.taskmanager.flows.prune_archive import PRUNE_ARCHIVE
from dbaas.taskmanager.flows.reset_status import RESET_STATUS
from dbaas.taskmanager.flows.resize_flavor import RESIZE_FLAVOR
from dbaas.taskmanager.flows.resize_volume import RESIZE_VOLUME
from dbaas.taskmanager.flows.restart_instance import RESTART_INSTANCE
from dbaas.taskmanager.flows.root import DISABLE_ROOT, ENABLE_ROOT
from dbaas.taskmanager.flows.rotate_keys import ROTATE_KEYS
from dbaas.taskmanager.flows.set_archiving import SET_ARCHIVING
from dbaas.taskmanager.flows.sweep_archive import SWEEP_ARCHIVE
from dbaas.taskmanager.flows.sweep_backup import SWEEP_BACKUP
from dbaas.taskmanager.flows.update_access import UPDATE_ACCESS
from dbaas.taskmanager.flows.verify_backup import VERIFY_BACKUP

FLOWS: Mapping[str, Flow[Any]] = {
    flow.kind: flow
    for flow in (
        ASK_GUEST,
        BACK_UP_AND_DELETE_INSTANCE,
        COMPACT_ARCHIVE,
        CREATE_BACKUP,
        CREATE_INSTANCE,
        DELETE_BACKUPS,
        DELETE_INSTANCE,
        DISABLE_ROOT,
        ENABLE_ROOT,
        PRUNE_ARCHIVE,
        RESET_STATUS,
        RESIZE_FLAVOR,
        RESIZE_VOLUME,
        RESTART_INSTANCE,
        RESTORE_INSTANCE,
        ROTATE_KEYS,
        SET_ARCHIVING,
        SWEEP_ARCHIVE,
        SWEEP_BACKUP,
        UPDATE_ACCESS,
        VERIFY_BACKUP,
    )
}
"""Every kind of operation that a task manager can carry on."""
