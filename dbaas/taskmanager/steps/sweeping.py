"""The objects of a backup go out of its storage."""

from dbaas.catalog import backups
from dbaas.contract.backups import prefix
from dbaas.strategies.grants.base import Place
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox


def delete_objects(backup_id: str, tools: Toolbox) -> None:
    """Delete all that is there of it, which may be nothing; what others registered stays theirs."""
    services: Services = tools.services
    backup = services.catalog.read(lambda unit: backups.show(unit, backup_id, None, deleted=True))
    if not backup.account or backup.object_name:
        return  # nothing was ever made for it
    vault = services.vault(backup.storage)
    place = Place(backup.account, backup.container, prefix(backup_id))
    tools.effect(lambda: vault.delete(place))
