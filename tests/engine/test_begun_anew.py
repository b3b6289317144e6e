"""A half that lost its state: the other one goes on with it."""

from stream_guard.engine import AccountHalf, PopulationHalf
from stream_guard.events import RequestEvent


def requests(first, last):
    """Ten minutes between requests: each is a step of its own."""
    return [
        RequestEvent(
            f"e{n}", 1.7e9 + 600 * n, f"acct-{n % 3}", "m", prompt=f"please translate word number {n} into french"
        )
        for n in range(first, last)
    ]


def reports(half, events):
    half.process(events)
    return half.take_report()


def test_an_account_half_that_began_anew_is_heard_from_where_the_last_one_was():
    population, half = PopulationHalf(), AccountHalf()
    population.process(reports(half, requests(0, 40)))
    taken = population._window.taken

    anew = AccountHalf()
    population.process(reports(anew, requests(0, 40)))
    again = population._window.taken
    population.process(reports(anew, requests(40, 60)))

    assert (taken, again) == (39, 39)
    assert population._window.taken == 59


def test_a_report_that_comes_twice_changes_nothing_also_across_a_restart():
    population, half = PopulationHalf(), AccountHalf()
    report = reports(half, requests(0, 40))
    population.process(report)
    restored = PopulationHalf()
    restored.restore(population.snapshot())

    population.process(report)
    restored.process(report)

    assert population._window.taken == restored._window.taken == 39
