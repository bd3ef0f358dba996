import struct

from dbaas.cloud.local import seccomp

X86_64 = 0xC000003E
CLONE_THREAD_AND_VM = 0x00010100
EPERM, ENOSYS, ALLOW, KILL = 0x00050001, 0x00050026, 0x7FFF0000, 0x80000000


def verdict(number: int, flags: int = 0, architecture: int = X86_64) -> int:
    """Run the filter as the kernel would, over the fields of struct seccomp_data that it reads."""
    program = seccomp.program("x86_64")
    lines = list(struct.iter_unpack("=HBBI", program))
    fields = {0: number, 4: architecture, 16: flags}
    value, at = 0, 0
    while True:
        code, if_true, if_false, constant = lines[at]
        at += 1
        if code == 0x20:
            value = fields[constant]
        elif code == 0x06:
            return int(constant)
        else:
            tests = {0x15: value == constant, 0x35: value >= constant, 0x45: value & constant}
            at += if_true if tests[code] else if_false


def test_ordinary_calls_are_allowed() -> None:
    for number in (0, 1, 59, 231, 425):  # read, write, execve, exit_group, io_uring_setup
        assert verdict(number) == ALLOW


def test_a_thread_or_process_may_be_made_but_no_user_namespace() -> None:
    for number in (56, 272):
        assert verdict(number, CLONE_THREAD_AND_VM) == ALLOW
        assert verdict(number, seccomp.CLONE_NEWUSER | CLONE_THREAD_AND_VM) == EPERM
    assert verdict(435) == ENOSYS


def test_ways_out_are_closed() -> None:
    for number in (250, 298, 321, 323, 0x40000000, 0x40000110):
        assert verdict(number) == EPERM
    assert verdict(0, architecture=0x40000003) == KILL  # 32-bit calls have other numbers


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    assert seccomp.program("vax") == b""
