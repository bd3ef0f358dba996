"""Finds what a request names among what is offered: datastores, versions, flavors."""

from collections.abc import Sequence

from dbaas.api.pages import ID
from dbaas.catalog.records import Datastore, DatastoreVersion
from dbaas.cloud.base import Flavor
from dbaas.contract import errors


def datastore(stores: Sequence[Datastore], name: str) -> Datastore:
    """Return the datastore of this id or name; raise `NotFound`."""
    for store in stores:
        if name in (store.id, store.name):
            return store
    raise errors.NotFound(f"Datastore '{name[:255]}' cannot be found.")


def datastore_version(store: Datastore, name: str, number: str = "") -> DatastoreVersion:
    """Return the version of this id or name; `number` tells versions of one name apart.

    Raises `NotFound` for an id, `Invalid` for a name: clients take both as "there is none".
    """
    for version in store.versions:
        if name == version.id or (name == version.name and number in ("", version.version)):
            return version
    if ID.fullmatch(name):
        raise errors.NotFound(f"Datastore version '{name}' cannot be found.")
    also = f" of version_number '{number[:255]}'" if number else ""
    raise errors.Invalid(f"Datastore version '{name[:255]}'{also} cannot be found.")


def version_to_build(
    stores: Sequence[Datastore], asked: dict[str, str], default: str | None
) -> DatastoreVersion:
    """Return what a new instance is to be, with defaults for what `asked` leaves out."""
    name = asked.get("type") or default
    if name is None:
        offered = [store for store in stores if any(v.active for v in store.versions)]
        if len(offered) != 1:
            names = ", ".join(store.name for store in offered) or "none"
            raise errors.Invalid(
                "instance['datastore']['type'] is missing and there is no default: name one of "
                f"the datastores ({names})."
            )
        name = offered[0].id
    try:
        store = datastore(stores, name)
    except errors.NotFound as error:
        raise errors.NotFound(f"instance['datastore']['type']: {error.text}") from None
    number = asked.get("version_number", "")
    wanted = asked.get("version") or _name_of(store, number) or store.default_version_id
    if not wanted:
        raise errors.Invalid(
            f"instance['datastore']['version'] is missing and {store.name} has no default version: "
            f"name one of {', '.join(v.name for v in store.versions if v.active) or 'none'}."
        )
    try:
        version = datastore_version(store, wanted, number)
    except (errors.NotFound, errors.Invalid) as error:
        raise errors.Invalid(f"instance['datastore']: {error.text}") from None
    if not version.active:
        raise errors.Invalid(f"Datastore version '{version.name}' is not active: choose another.")
    return version


def _name_of(store: Datastore, number: str) -> str:
    """Return the name of the version of this number; without a number, none."""
    return next((v.name for v in store.versions if v.version == number), number)


def flavor_to_use(flavors: Sequence[Flavor], reference: int | str | None, field: str) -> Flavor:
    """Return the flavor of this id or URL; raise `Invalid`."""
    if reference is None:
        raise errors.Invalid(f"Resource None cannot be found. {field} must be the id of a flavor.")
    try:
        return flavor(flavors, str(reference).rstrip("/").rpartition("/")[2])
    except errors.NotFound as error:
        raise errors.Invalid(f"{field}: {error.text}") from None


def flavor(flavors: Sequence[Flavor], id_: str) -> Flavor:
    """Return the flavor of this id; raise `NotFound`."""
    for one in flavors:
        if one.id == id_:
            return one
    raise errors.NotFound(
        f"Flavor {id_[:255]} cannot be found: there are {', '.join(one.id for one in flavors)}."
    )
