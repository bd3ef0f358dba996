import pytest
from oslo_config import cfg

from dbaas.cloud.loopback import settings


def read(**overrides: object) -> settings.Settings:
    conf = cfg.ConfigOpts()
    conf.register_opts(settings.OPTS, settings.GROUP)
    conf([], default_config_files=[])
    for name, value in overrides.items():
        conf.set_override(name, value, settings.GROUP)
    return settings.from_conf(conf)


def test_the_defaults_are_a_whole_configuration() -> None:
    found = read()
    assert found.pool.is_loopback
    assert [flavor.id for flavor in found.flavors] == ["1", "2", "3", "4"]
    assert found.engine_ports == (3306,)


def test_an_engines_socket_fits_below_the_longest_directory() -> None:
    longest = "/" + "d" * (settings.LONGEST_STATE_DIR - 1)
    root = read(state_dir=longest).root_dir("dbaas-353c54b5-66c2-4e1e-a399-aec39111bc1a-srv1")
    assert len(str(root / "run/mariadb/mariadbd.sock")) == 107
    with pytest.raises(ValueError, match="more than"):
        read(state_dir=longest + "d")


def test_addresses_are_those_of_the_loopback_interface() -> None:
    with pytest.raises(ValueError, match="not within"):
        read(pool="10.0.0.0/24")
