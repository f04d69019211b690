import pytest
from agent_backends import check

from skylane_agent.health.verdict import PASSED, Outcome, Verdict, judged, sick_because

CHECK = check("tcp", healthy_threshold=2, unhealthy_threshold=3)
FAILED = Outcome("failed", "refused")
NOT_MADE = Outcome("not_made", "no sockets")


def verdict_after(outcomes, verdict=None):
    verdict = verdict or Verdict()
    for outcome in outcomes:
        verdict = judged(verdict, outcome, CHECK)
    return verdict


@pytest.mark.parametrize(
    ("outcomes", "healthy"),
    [
        ([], True),
        ([FAILED] * 2, True),
        ([FAILED] * 3, False),
        ([FAILED, FAILED, PASSED] * 10, True),
        ([FAILED] * 3 + [PASSED], False),
        ([FAILED] * 3 + [PASSED, FAILED] * 10, False),
        ([FAILED] * 3 + [PASSED] * 2, True),
        ([FAILED] * 3 + [PASSED] * 2 + [FAILED] * 2, True),
    ],
)
def test_only_outcomes_in_a_row_count(outcomes, healthy):
    assert verdict_after(outcomes).healthy is healthy


def test_the_reason_is_that_of_the_turn_and_does_not_alternate():
    sick = verdict_after([FAILED] * 3)
    assert verdict_after([Outcome("failed", "HTTP status 503"), PASSED], sick).reason == "refused"
    assert verdict_after([PASSED] * 2, sick).reason == ""


def test_a_probe_that_is_not_made_says_nothing_of_the_backend():
    verdict = verdict_after([FAILED, FAILED, *[NOT_MADE] * 10])
    assert (verdict.healthy, verdict.obstacle) == (True, "no sockets")
    # Told only when as many were missed in a row as would have counted.
    assert verdict_after([NOT_MADE, NOT_MADE, PASSED, NOT_MADE, NOT_MADE]).obstacle == ""
    assert verdict_after([FAILED], verdict) == Verdict(healthy=False, reason="refused")
    sick = verdict_after([NOT_MADE] * 3, sick_because("refused"))
    assert sick.obstacle == "no sockets"
    assert (sick.healthy, sick.reason) == (False, "refused")
    assert verdict_after([PASSED], sick).obstacle == ""


def test_what_was_known_holds_until_enough_outcomes_say_otherwise():
    assert not verdict_after([PASSED], sick_because("refused")).healthy
    assert verdict_after([PASSED] * 2, sick_because("refused")).healthy
    assert sick_because(None) == Verdict()
