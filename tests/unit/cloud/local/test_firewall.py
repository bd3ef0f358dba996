import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.cloud.local import firewall
from dbaas.cloud.local.firewall import Door
from dbaas.cloud.local.settings import Settings
from dbaas.contract import errors

BRIDGE = ipaddress.IPv4Interface("10.77.0.1/28")
SETTINGS = Settings(
    deployment="d",
    state_dir=Path("/nowhere"),
    cache_dir=Path("/nowhere"),
    bridge=BRIDGE,
    pool=BRIDGE.network,
    broker_port=5671,
    flavors=(),
    bridge6=ipaddress.IPv6Interface("fd77::1/64"),
    engine_ports=(3306, 5432),
)


def lines(*doors: Door) -> list[str]:
    return lines_of(SETTINGS, *doors)


def lines_of(settings: Settings, *doors: Door) -> list[str]:
    return [line.strip() for line in firewall.rules(settings, doors).splitlines()]


def test_networks_within_others_are_left_out_and_neighbours_joined() -> None:
    found = firewall.networks(["10.0.0.0/8", "10.1.2.3", "192.0.2.0/25", "192.0.2.128/25", "::/0"])
    assert [str(network) for network in found] == ["10.0.0.0/8", "192.0.2.0/24", "::/0"]


@pytest.mark.parametrize(
    "text", ["", "everywhere", "10.0.0.0/33", "10.0.0.1-10.0.0.9", "fd00::/129"]
)
def test_what_is_no_network_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(errors.Invalid, match="network"):
        firewall.networks([text])


def test_a_door_without_networks_is_open_and_one_with_them_closed_to_the_rest() -> None:
    made = lines(
        Door("10.77.0.2", "fd77::2", ()),
        Door("10.77.0.3", "fd77::3", ("192.0.2.0/24",)),
        Door("10.77.0.4", "", ("fd00::/8",)),
    )
    first, second, third = (made.index(f"chain guest{number} {{") for number in range(3))
    assert made[first + 1 : first + 3] == ["accept", "}"]
    assert made[second + 1 : second + 4] == ["ip saddr { 192.0.2.0/24 } accept", "drop", "}"]
    assert made[third + 1 : third + 4] == ["ip6 saddr { fd00::/8 } accept", "drop", "}"]


def test_only_the_engines_ports_are_reached_and_only_of_guests_that_are_known() -> None:
    made = lines(Door("10.77.0.2", "", ()))
    assert "tcp dport != { 3306, 5432 } drop" in made
    assert "ip daddr vmap { 10.77.0.2 : goto guest0 }" in made
    assert not [line for line in made if line.startswith("ip6 daddr")]
    start = made.index("chain to_guests {")
    assert made[made.index("}", start) - 1] == "drop"


def test_guests_reach_the_storages_that_are_named_on_the_host_and_beyond() -> None:
    there = ipaddress.IPv4Address("192.0.2.7")
    made = lines_of(replace(SETTINGS, storage_endpoints=((there, 443), (there, 8080))))
    pairs = "ip daddr . tcp dport { 192.0.2.7 . 443, 192.0.2.7 . 8080 } accept"
    through = f'iifname "{SETTINGS.bridge_name}" oifname != "{SETTINGS.bridge_name}" {pairs}'
    assert made.index(pairs) < made.index("drop")
    assert made.index(through) < made.index(f'iifname "{SETTINGS.bridge_name}" drop')
    assert not [line for line in lines() if "192.0.2.7" in line]
