"""Give a running MariaDB more memory, or take some away."""

from collections.abc import Mapping

from dbaas.contract import errors
from dbaas.engines.mariadb.admin import Session

POOL = "innodb_buffer_pool_size"
VARIABLES = (
    "SELECT LOWER(variable_name), global_value, read_only FROM information_schema.system_variables"
)
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def fit(session: Session, sizes: Mapping[str, str]) -> bool:
    """Set each variable that can be set while it runs; return whether a restart is needed.

    That is when the buffer pool, which is most of the memory, is not as it should be. The few
    others that are fixed while it runs are small, and follow at the next start.
    """
    for name, (now, settable) in _current(session, sizes).items():
        if settable and now != (wanted := in_bytes(sizes[name])):
            try:
                session.rows(f"SET GLOBAL {name} = {wanted}")
            except errors.Failed:
                if name != POOL:  # a pool whose pages are all in use does not shrink
                    raise
    pool = _current(session, sizes).get(POOL)
    return pool is not None and pool[0] != in_bytes(sizes[POOL])


def in_bytes(size: str) -> int:
    """Return the number that an option file's `64M` stands for."""
    unit = UNITS.get(size[-1:])
    return int(size[:-1]) * unit if unit else int(size)


def _current(session: Session, sizes: Mapping[str, str]) -> dict[str, tuple[int, bool]]:
    """Return the value of each variable, and whether it can be set while the server runs."""
    marks = ", ".join(["%s"] * len(sizes))
    rows = session.rows(
        f"{VARIABLES} WHERE LOWER(variable_name) IN ({marks})",
        *sizes,
    )
    return {str(name): (int(value), read_only == "NO") for name, value, read_only in rows}
