import pytest

from dbaas.engines.mariadb import memory


@pytest.mark.parametrize(("size", "value"), [("64M", 64 << 20), ("2G", 2 << 30), ("100", 100)])
def test_a_size_is_what_the_server_makes_of_it(size: str, value: int) -> None:
    assert memory.in_bytes(size) == value
