from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.cloud.base import Flavor
from dbaas.cloud.local.cgroups import Groups, Hierarchies, detect
from dbaas.contract import errors

FLAVOR = Flavor("1", "tiny", ram_mib=512, vcpus=2, disk_gib=5)

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""


def test_a_hybrid_host_is_one_of_version_1() -> None:
    assert detect(HYBRID) == Hierarchies(
        {"cpu": Path("/sys/fs/cgroup/cpu,cpuacct"), "memory": Path("/sys/fs/cgroup/memory")}
    )


def test_a_unified_host_is_one_of_version_2() -> None:
    assert detect("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n").unified == Path("/sys/fs/cgroup")


def test_a_host_may_have_none(tmp_path: Path) -> None:
    groups = Groups("d", detect("tmpfs /tmp tmpfs rw 0 0\n"))
    assert groups.make("a", FLAVOR) == []
    groups.thaw_if_frozen("a")
    groups.remove("a")
    with pytest.raises(errors.Unsupported):
        groups.freeze("a", frozen=True)


def test_limits_of_version_1_are_written_per_controller(tmp_path: Path) -> None:
    split = {name: tmp_path / name for name in ("memory", "cpu", "pids")}
    joined = Groups("d", Hierarchies(split)).make("a", FLAVOR)
    assert joined == [f"{tmp_path}/{name}/dbaas-d/a/cgroup.procs" for name in split]
    assert (split["memory"] / "dbaas-d/a/memory.limit_in_bytes").read_text() == "536870912"
    assert (split["cpu"] / "dbaas-d/a/cpu.cfs_quota_us").read_text() == "200000"
    assert (split["pids"] / "dbaas-d/a/pids.max").read_text() == "8192"


def test_limits_of_version_2_are_in_one_group(tmp_path: Path) -> None:
    groups = Groups("d", Hierarchies({}, tmp_path))
    assert groups.make("a", FLAVOR) == [f"{tmp_path}/dbaas-d/a/cgroup.procs"]
    assert (tmp_path / "dbaas-d/a/memory.max").read_text() == "536870912"
    assert (tmp_path / "dbaas-d/a/cpu.max").read_text() == "200000 100000"
    with pytest.raises(errors.NotFound):
        groups.freeze("b", frozen=True)


def test_limits_of_version_2_change_only_when_the_memory_in_use_fits(tmp_path: Path) -> None:
    groups = Groups("d", Hierarchies({}, tmp_path))
    groups.make("a", FLAVOR)
    group, used = tmp_path / "dbaas-d/a", tmp_path / "dbaas-d/a/memory.current"
    used.write_text(str(300 << 20))
    smaller = replace(FLAVOR, ram_mib=256, vcpus=1)
    with pytest.raises(errors.Unavailable):
        groups.change("a", smaller)
    assert (group / "memory.max").read_text() == "536870912"
    assert (group / "memory.high").read_text() == "max"
    used.write_text(str(200 << 20))
    groups.change("a", smaller)
    assert (group / "memory.max").read_text() == "268435456"
    assert (group / "memory.high").read_text() == "max"
    assert (group / "cpu.max").read_text() == "100000 100000"
