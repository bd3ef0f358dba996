import struct

import pytest

from dbaas.cloud.openstack import disk
from dbaas.contract import errors

SECTORS = 4 << 21


def test_the_boot_loader_finds_its_second_half() -> None:
    front = disk.front(b"\xeb\x63" + bytes(510), bytes(512 * 3 + 10), SECTORS)
    assert struct.unpack_from("<Q", front, 0x5C) == (1,)
    assert front[0x66:0x68] == b"\x90\x90"
    assert struct.unpack_from("<QHH", front, 1024 - 12) == (2, 3, 0x820)


def test_the_one_partition_goes_to_the_end_of_the_disk() -> None:
    front = disk.front(bytes(512), bytes(512), SECTORS)
    assert front[510:512] == b"\x55\xaa"
    flag, kind = front[446], front[450]
    start, length = struct.unpack_from("<II", front, 454)
    assert (flag, kind, start, start + length) == (0x80, 0x83, disk.FIRST, SECTORS)
    assert front[462:510] == bytes(48)


def test_a_boot_loader_that_would_reach_into_the_partition_is_refused() -> None:
    with pytest.raises(errors.Failed, match="does not fit"):
        disk.front(bytes(512), bytes(512 * disk.FIRST), SECTORS)
