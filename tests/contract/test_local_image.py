"""What the recipe in `images/` makes of a guest's root file system."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.cloud.local import image
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.cloud.rootfs import recipe
from tests.contract import hosts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="local guests need root")

TEMPLATE = "usr/share/dbaas/templates/mariadb-11.8"


@pytest.fixture
def rootfs() -> Path:
    return image.ensure(recipe.default_cache())


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with hosts.local_cloud(tmp_path / "state") as local:
        yield local


def test_engines_have_the_accounts_of_the_recipe(rootfs: Path) -> None:
    lines = (rootfs / "etc/passwd").read_text().splitlines()
    accounts = {line.split(":")[0]: line.split(":")[2] for line in lines}
    assert {name: accounts[name] for name in ("mysql", "postgres", "valkey")} == {
        "mysql": "330",
        "postgres": "543",
        "valkey": "637",
    }


def test_nothing_of_the_host_that_made_it_is_left_in_it(rootfs: Path) -> None:
    for name in ("machine-id", "resolv.conf", "hostname"):
        assert (rootfs / "etc" / name).read_bytes() == b""
    assert not (rootfs / "etc/apt/sources.list").exists()
    assert list((rootfs / "etc/ssl/private").iterdir()) == []


def test_nothing_lets_anybody_in(rootfs: Path) -> None:
    assert not (rootfs / "usr/sbin/sshd").exists()
    shadow = (rootfs / "etc/shadow").read_text().splitlines()
    assert {line.split(":")[1] for line in shadow} <= {"*", "!", "!*"}


def test_only_harmless_devices_are_there(rootfs: Path) -> None:
    nodes = [path for path in rootfs.rglob("*") if _is_device(path)]
    assert {path.relative_to(rootfs).as_posix() for path in nodes} == {
        f"dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")
    }


def test_mariadbs_template_is_small_and_its_own_users(rootfs: Path) -> None:
    template = rootfs / TEMPLATE
    assert (template / "ib_logfile0").stat().st_size == 8 << 20
    assert not (template / "ibtmp1").exists()
    assert sum(path.stat().st_blocks * 512 for path in template.rglob("*")) < 30 << 20
    assert {path.stat().st_uid for path in [template, *template.rglob("*")]} == {330}


def test_mariadb_starts_from_its_template_with_roots_socket_account_alone(
    cloud: LocalCloud,
) -> None:
    hosts.build(cloud, "a", "2")
    script = f"""
    cp -a /{TEMPLATE} /var/lib/dbaas/volume/data
    mkdir /run/mysqld && chown mysql:mysql /run/mysqld
    mariadbd --no-defaults --user=mysql --datadir=/var/lib/dbaas/volume/data \
        --socket=/run/mysqld/s --skip-networking >/tmp/log 2>&1 &
    for attempt in $(seq 200); do mariadb-admin -S /run/mysqld/s ping >/dev/null 2>&1 && break
        sleep 0.1
    done
    mariadb -S /run/mysqld/s -N -e "SELECT User, Host FROM mysql.global_priv ORDER BY User"
    mariadb -S /run/mysqld/s -N -e "SHOW DATABASES"
    setpriv --reuid nobody --clear-groups mariadb -S /run/mysqld/s -u root -e "SELECT 1"
    kill $!; wait $!
    """
    said = hosts.shell(cloud, "a", script, timeout=60).splitlines()
    assert said[:2] == ["mariadb.sys\tlocalhost", "root\tlocalhost"]
    assert said[2:6] == ["information_schema", "mysql", "performance_schema", "sys"]
    assert "Access denied" in said[6]


def _is_device(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
