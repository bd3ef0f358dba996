from ipaddress import IPv4Address

import pytest
from oslo_config import cfg

from dbaas.cloud.base import Flavor
from dbaas.cloud.local import settings
from dbaas.contract import errors


def read(**overrides: object) -> settings.Settings:
    conf = cfg.ConfigOpts()
    conf.register_opts(settings.OPTS, settings.GROUP)
    conf([], default_config_files=[])
    for name, value in overrides.items():
        conf.set_override(name, value, settings.GROUP)
    return settings.from_conf(conf)


def test_the_defaults_are_a_whole_configuration() -> None:
    found = read()
    assert found.flavors[0] == Flavor("1", "db.tiny", ram_mib=512, vcpus=1, disk_gib=5)
    assert found.pool == found.bridge.network
    assert found.cache_dir.name == "dbaas"


def test_a_pool_must_be_in_the_bridges_subnet() -> None:
    assert str(read(pool="10.201.0.128/25").pool) == "10.201.0.128/25"
    with pytest.raises(ValueError, match="not within"):
        read(pool="10.202.0.0/25")


@pytest.mark.parametrize("text", ["", "1:tiny", "1:tiny:much:1:5", "1:tiny:512:1:5:6"])
def test_a_flavor_that_cannot_be_read_is_shown(text: str) -> None:
    with pytest.raises(ValueError, match="id:name"):
        settings.flavor(text)


def test_a_path_that_a_mount_option_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="comma"):
        read(state_dir="/var/lib/a,b")


def test_interfaces_are_named_after_the_deployment_and_fit_the_kernel() -> None:
    one, other = read(deployment="one"), read(deployment="other")
    names = {one.bridge_name, other.bridge_name, one.link_name("a"), other.link_name("a")}
    assert len(names) == 4
    assert all(len(name) == 11 for name in names)


def test_the_bridge_has_a_local_ipv6_prefix_that_follows_from_the_deployment() -> None:
    one, again, other = (read(deployment=name).bridge6 for name in ("one", "one", "other"))
    assert one is not None
    assert one == again != other
    assert one.ip.is_private
    assert one.network.prefixlen == 64
    assert read(bridge_address6="none").bridge6 is None
    with pytest.raises(ValueError, match="no room"):
        read(bridge_address6="fd00::1/120")


def test_a_guests_ipv6_address_follows_from_its_other_one() -> None:
    found = read(bridge_address6="fd00:1::1/64")
    assert str(found.address6(IPv4Address("10.201.0.7"))) == "fd00:1::ac9:7"


def test_there_is_one_zone() -> None:
    settings.expect_zone("local", "")
    settings.expect_zone("here", "here")
    with pytest.raises(errors.Invalid, match="'local'"):
        settings.expect_zone(read().availability_zone, "here")


def test_a_storage_endpoint_is_an_address_and_a_port() -> None:
    assert settings.endpoint("192.0.2.7:8080") == (IPv4Address("192.0.2.7"), 8080)


@pytest.mark.parametrize("text", ["", "192.0.2.7", "192.0.2.7:0", "swift:80", "192.0.2.7:65536"])
def test_what_is_no_storage_endpoint_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"ADDRESS:PORT like 192\.0\.2\.7:8080"):
        settings.endpoint(text)
