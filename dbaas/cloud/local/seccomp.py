"""The system calls that no program in a guest may use, as a filter for the kernel.

Without capabilities little is left to forbid: user namespaces, in which any user would be root
again and could mount, and calls that have often been a way out. `clone3` takes its flags where a
filter cannot look; told that there is none, C libraries use `clone` (seccomp(2), clone(2)).
"""

import struct
from collections.abc import Mapping

CLONE_NEWUSER = 0x10000000

_ARCHITECTURES: Mapping[str, tuple[int, Mapping[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "clone": 56, "unshare": 272, "keyctl": 250, "add_key": 248, "request_key": 249,
            "perf_event_open": 298, "bpf": 321, "userfaultfd": 323,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "clone": 220, "unshare": 97, "keyctl": 219, "add_key": 217, "request_key": 218,
            "perf_event_open": 241, "bpf": 280, "userfaultfd": 282,
        },
    ),
}  # fmt: skip
"""AUDIT_ARCH_* of linux/audit.h, and the numbers of the calls."""

_CLONE3 = 435
_OTHER_ABI = 0x40000000
"""Numbers from here on are the same calls by another way in (x32)."""

_LOAD, _IF_EQUAL, _IF_BITS, _IF_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def program(machine: str) -> bytes:
    """Return the filter for such a machine: instructions of 8 bytes; none for one not known."""
    try:
        architecture, numbers = _ARCHITECTURES[machine]
    except KeyError:
        return b""
    flagged = [numbers["clone"], numbers["unshare"]]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_LEAST, 0, 1, _OTHER_ABI),
        (_RETURN, 0, 0, _EPERM),
    ]
    for number in numbers.values():
        if number not in flagged:
            lines += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    lines += [
        (_IF_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ENOSYS),
        (_IF_EQUAL, 1, 0, flagged[0]),
        (_IF_EQUAL, 0, 3, flagged[1]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_IF_BITS, 0, 1, CLONE_NEWUSER),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
