import uuid
from collections import Counter

import pytest

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.rpc import guests


def test_the_sender_is_who_owns_the_exchange() -> None:
    assert guests.sender(guests.event_exchange("abc")) == "abc"
    assert guests.sender("cmd") is None
    assert guests.sender("") is None


def test_guests_spread_over_the_event_queues_and_stay_where_they_are() -> None:
    ids = [str(uuid.UUID(int=n)) for n in range(1600)]
    used = Counter(guests.event_queue(name) for name in ids)
    assert set(used) == set(guests.EVENT_QUEUES)
    assert max(used.values()) < 200
    assert guests.event_queue("7b1d2f6e-3b8e-4b54-9e1b-6a8fd5c7d111") == "guest-events-2"


def test_an_address_is_read_from_a_url() -> None:
    address = guests.address("amqp://me:p%40ss@127.0.0.1:5673/guest")
    assert address == guests.Address("127.0.0.1", 5673, "guest", "me", Secret("p@ss"))


@pytest.mark.parametrize("url", ["http://me:x@h/v", "amqp://host/v", "amqp://me:x@h:99999/v", ""])
def test_another_url_is_invalid(url: str) -> None:
    with pytest.raises(errors.Invalid):
        guests.address(url)


def test_a_link_without_connection_is_unavailable() -> None:
    link = guests.AgentLink(guests.address("amqp://me:x@127.0.0.1:9/guest"), "abc")
    with pytest.raises(errors.Unavailable):
        link.poll(0)
    with pytest.raises(errors.Unavailable):
        link.connect()
    link.close()


def test_only_events_are_published() -> None:
    link = guests.AgentLink(guests.address("amqp://me:x@127.0.0.1:9/guest"), "abc")
    with pytest.raises(errors.Invalid):
        link.publish("cmd", b"")


def test_a_publisher_that_cannot_connect_rests() -> None:
    publisher = guests.CommandPublisher("amqp://me:x@127.0.0.1:9/guest")
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        publisher.publish("abc", b"")
    with pytest.raises(errors.Unavailable, match="just now"):
        publisher.publish("abc", b"")
