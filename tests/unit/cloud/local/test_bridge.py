from ipaddress import IPv4Address

from dbaas.cloud.local import bridge


def test_a_mac_follows_from_the_address_and_is_one_that_we_may_give() -> None:
    mac = bridge.mac(IPv4Address("10.201.3.17"))
    assert mac == "02:db:0a:c9:03:11"
    first = int(mac[:2], 16)
    assert first & 2  # locally administered
    assert not first & 1  # not a group's
