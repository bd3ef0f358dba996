"""Every service, the broker, the catalog and their supervisor are killed; guests are not."""

import pytest

from tests.chaos import requests
from tests.chaos.ground import Ground
from tests.functional.writer import Writer
from tests.outcomes import Part, Tell


@pytest.mark.parametrize("after", [pytest.param(0.2, marks=pytest.mark.thorough), 0.9])
def test_creates_that_were_accepted_finish_and_a_client_of_a_guest_does_not_notice(
    ground: Ground, tell: Tell, after: float
) -> None:
    busy = requests.create_instance(ground, "busy")
    ground.wait_until_done([busy], "ACTIVE")
    link = ground.stack.database(ground.details(busy))
    with link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE written (id INT AUTO_INCREMENT PRIMARY KEY)")
        writer = Writer(link)
        with writer.writing():
            others = [requests.create_instance(ground, f"chaos-{n}") for n in range(3)]
            ground.sleep(after)
            ground.stack.kill_everything()
            ground.stack.command("up")
            ground.wait_until_done(others, "ACTIVE")
            requests.restart_instance(ground, others[0])
            ground.wait_until_done(others, "ACTIVE")
        assert writer.failure is None
        cursor.execute("SELECT COUNT(*) FROM written")
        assert cursor.fetchone() == (writer.written,)
    tell(
        Part.SERVICES,
        f"everything but guests is killed {after} s after 3 creates",
        f"they finish; a client writes {writer.written} rows meanwhile and never waits longer "
        f"than {writer.slowest:.2f} s",
    )
    ground.delete_all([busy, *others])
    ground.assert_nothing_left()
