from dbaas.contract.messages import Grant, GrantRenewal, Progress
from dbaas.guestagent.transfers import Transfer, Transfers
from dbaas.strategies.storage.base import Leave

GRANT, NEWER = Grant("swift", "PUT"), Grant("s3", "PUT")


def test_a_command_s_progress_is_told_while_it_runs() -> None:
    told: list[str] = []
    transfers = Transfers(lambda: told.append("now"))
    with transfers.running("op.1") as transfer:
        assert told == ["now"]
        transfer.done, transfer.total, transfer.stored = lambda: 5, lambda: 20, lambda: 2
        assert transfers.progress() == {"op.1": Progress(5, 20, 2)}
    assert transfers.progress() == {}


def test_the_rate_is_that_of_late() -> None:
    transfer = Transfer()
    done = 0
    transfer.done = lambda: done
    transfer.progress(0.0)
    done = 1000
    assert transfer.progress(10.0).rate == 100.0
    done = 1100
    assert transfer.progress(20.0).rate == 10.0


def test_more_than_was_estimated_is_all() -> None:
    transfer = Transfer(lambda: 30, lambda: 20)
    assert transfer.progress(0.0).total == 30


def test_what_it_wants_is_told_with_the_backup_that_it_is_for() -> None:
    transfers = Transfers()
    with transfers.running("op.1") as transfer:
        transfer.leave, transfer.backup = Leave(GRANT), "b1"
        transfer.leave.look_ahead(3, str)
        assert (transfer.progress(0.0).wants, transfer.progress(0.0).backup) == (3, "b1")


def test_a_renewal_reaches_the_command_and_the_backup_that_it_is_for() -> None:
    transfers = Transfers()
    with transfers.running("op.1") as transfer:
        transfers.renew(GrantRenewal("op.1", "b1", NEWER))  # it has none to renew yet
        transfer.leave, transfer.backup = Leave(GRANT), "b1"
        transfers.renew(GrantRenewal("op.2", "b1", NEWER))
        transfers.renew(GrantRenewal("op.1", "b2", NEWER))
        assert transfer.leave.grant is GRANT
        transfers.renew(GrantRenewal("op.1", "b1", NEWER))
        assert transfer.leave.grant is NEWER
    transfers.renew(GrantRenewal("op.1", "b1", NEWER))  # it does not run any more
