from dbaas.conductor.rates import Rates, Ration


def _say(rates: Rates, guest: str, count: int, now: float, size: int = 100) -> bool:
    verdicts = [rates.count(guest, size, now + n / count) for n in range(count)]
    return any(verdicts)


def test_fifty_a_second_is_allowed_for_ever() -> None:
    rates = Rates()
    assert not any(_say(rates, "a", 50, second) for second in range(100))


def test_more_is_too_much_after_two_seconds() -> None:
    rates = Rates()
    assert not _say(rates, "a", 60, 100)
    assert not _say(rates, "a", 60, 101)
    assert _say(rates, "a", 60, 102)


def test_a_burst_across_two_seconds_is_allowed() -> None:
    rates = Rates()
    assert not any(rates.count("a", 100, 100.9 + n / 1000) for n in range(200))


def test_a_burst_now_and_then_is_allowed() -> None:
    rates = Rates()
    assert not any(_say(rates, "a", 500, second) for second in range(0, 100, 2))


def test_a_pause_in_between_forgives() -> None:
    rates = Rates()
    assert not any(_say(rates, "a", 60, second) for second in (100, 101, 103, 104, 106))


def test_a_flood_is_too_much_at_once() -> None:
    assert _say(Rates(), "a", 2500, 100)


def test_conductors_share_the_limits() -> None:
    rates = Rates()
    rates.conductors = 3
    assert not any(_say(rates, "a", 16, second) for second in range(100))
    assert not _say(rates, "b", 20, 200)
    assert not _say(rates, "b", 20, 201)
    assert _say(rates, "b", 20, 202)
    assert _say(rates, "c", 700, 300)


def test_large_messages_count_as_several() -> None:
    rates = Rates()
    assert _say(rates, "a", 20, 100, size=1 << 20)


def test_each_guest_is_counted_alone() -> None:
    rates = Rates()
    for second in (100, 101, 102):
        for n in range(60):
            rates.count("loud", 100, second + n / 60)
            if n < 40:
                assert not rates.count("quiet", 100, second + n / 60)
    assert rates.count("loud", 100, 102.99)


def test_a_ration_is_per_guest_and_minute_and_counts_the_rest() -> None:
    ration = Ration(2)
    ration.over(600.0)
    assert [ration.take("a") for _ in range(5)] == [True, True, False, False, False]
    assert ration.take("b")
    assert ration.over(659.0) == {}
    assert ration.over(660.0) == {"a": 3}
    assert ration.take("a")
    assert ration.over(720.0) == {}


def test_a_ration_is_for_each_reason_and_the_rest_is_counted_together() -> None:
    ration = Ration(1)
    ration.over(600.0)
    assert [ration.take("a", why) for why in ("x", "y", "x", "y", "y")] == [
        True, True, False, False, False
    ]  # fmt: skip
    assert ration.over(660.0) == {"a": 3}
