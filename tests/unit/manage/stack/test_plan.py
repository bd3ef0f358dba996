"""A stack's share of the host is free when it is chosen, and stays the same after that."""

import socket
import tempfile
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.manage.stack import plan


def test_a_plan_is_found_again_as_it_was_chosen(tmp_path: Path) -> None:
    assert plan.load(tmp_path) is None
    chosen = plan.choose(tmp_path, isolates=True)
    assert plan.load(tmp_path) == chosen
    assert plan.choose(tmp_path, isolates=True) == chosen


def test_two_directories_get_different_shares(tmp_path: Path) -> None:
    one, other = (
        plan.choose(tmp_path / "one", isolates=True),
        plan.choose(tmp_path / "other", isolates=True),
    )
    assert one.id != other.id
    assert not one.subnet.overlaps(other.subnet)


def test_a_port_that_another_program_took_is_left_to_it(tmp_path: Path) -> None:
    chosen = plan.choose(tmp_path, isolates=True)
    with socket.create_server(("127.0.0.1", chosen.ports.api)):
        moved = plan.avoid_taken_ports(chosen)
    assert moved.ports.api != chosen.ports.api
    assert moved.ports.catalog == chosen.ports.catalog
    assert plan.load(tmp_path) == moved


def test_the_guests_port_never_moves(tmp_path: Path) -> None:
    chosen = plan.choose(tmp_path, isolates=True)
    with socket.create_server(("127.0.0.1", chosen.ports.guests)):
        assert plan.avoid_taken_ports(chosen) == chosen


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="too long"):
        plan.choose(tmp_path / ("d" * 90), isolates=True)


def test_how_many_of_a_service_there_are_is_kept(tmp_path: Path) -> None:
    chosen = plan.choose(tmp_path, isolates=True)
    plan.with_counts(chosen, {"dbaas-taskmanager": 3})
    assert plan.with_counts(chosen, {"dbaas-conductor": 2}).counts == {"dbaas-conductor": 2}
    changed = plan.with_counts(plan.with_counts(chosen, {"dbaas-taskmanager": 3}), {})
    assert plan.load(tmp_path) == changed
    assert changed.counts == {"dbaas-taskmanager": 3}


def test_several_apis_have_ports_of_their_own_and_keep_them(tmp_path: Path) -> None:
    chosen = plan.choose(tmp_path, isolates=True)
    several = plan.with_ports(chosen, ["dbaas-conductor"], ["dbaas-api", "dbaas-api-2"])
    ports = [*several.apis.values(), *several.metrics.values()]
    assert len({chosen.ports.api, *ports}) == 4
    assert plan.load(tmp_path) == several
    assert plan.with_ports(several, ["dbaas-conductor"], ["dbaas-api", "dbaas-api-2"]) == several
    assert plan.with_ports(several, ["dbaas-conductor"], ["dbaas-api"]).apis == {}


def test_without_root_guests_are_at_addresses_of_the_loopback_interface() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        one = plan.choose(Path(short) / "one", isolates=False)
        other = plan.choose(Path(short) / "other", isolates=False)
    assert one.subnet.is_loopback
    assert not one.isolates
    assert not one.subnet.overlaps(other.subnet)
    assert IPv4Address("127.0.0.1") not in one.subnet
    with pytest.raises(errors.Invalid, match="too long"):
        plan.choose(Path("/tmp") / ("d" * 60), isolates=False)
