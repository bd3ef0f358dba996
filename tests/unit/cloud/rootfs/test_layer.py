from dbaas.cloud.rootfs import layer


def test_a_guest_gets_the_agent_and_nothing_of_the_control_plane() -> None:
    contents = dict(layer.contents())
    assert {"init", "dbaas/guestagent/__main__.py", "dbaas/contract/errors.py"} <= set(contents)
    forbidden = ("dbaas/catalog", "dbaas/cloud", "dbaas/api", "dbaas/rpc/control", "dbaas/common")
    assert not [path for path in contents if path.startswith((*forbidden, layer.WITHOUT))]


def test_strategies_are_found_by_name_in_a_guest_but_not_the_control_planes() -> None:
    groups = {
        "dbaas.clouds": {"local": "dbaas.cloud.local.cloud:from_conf"},
        "dbaas.strategies.backup": {"b": "package.b:B", "a": "package.a:A"},
        "dbaas.strategies.grants": {"c": "package.c:C"},
    }
    expected = b"[dbaas.strategies.backup]\na = package.a:A\nb = package.b:B\n"
    assert layer.entry_points(groups) == expected


def test_another_content_is_another_layer() -> None:
    first = layer.digest({"a": b"1"}, "rootfs-1")
    assert first == layer.digest({"a": b"1"}, "rootfs-1")
    assert first != layer.digest({"a": b"2"}, "rootfs-1")
    assert first != layer.digest({"b": b"1"}, "rootfs-1")
    assert first != layer.digest({"a": b"1"}, "rootfs-2")
