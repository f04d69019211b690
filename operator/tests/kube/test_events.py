from skylane_operator.kube.events import turned


def status(**conditions):
    return {
        "conditions": [
            {"type": kind, "status": value, "reason": f"{kind}{value}"} for kind, value in conditions.items()
        ]
    }


def test_only_what_turned_is_told():
    before = status(Accepted="True", ResolvedRefs="True", Programmed="True", Ready="True")
    after = status(Accepted="True", ResolvedRefs="False", Programmed="False", Ready="False")
    assert [one["type"] for one in turned(before, after)] == ["ResolvedRefs", "Ready"]
    assert turned(after, after) == []


def test_of_a_new_object_only_its_mistakes_are_told():
    assert [
        one["type"] for one in turned({}, status(Accepted="False", ResolvedRefs="True", Ready="False"))
    ] == ["Accepted"]
    assert turned({}, status(Accepted="True", Ready="False")) == []


def test_what_is_not_known_for_a_moment_is_no_news():
    well, unknown, sick = (
        status(**{"skylane.dev/BackendsHealthy": value}) for value in ("True", "Unknown", "False")
    )
    assert [turned(*pair) for pair in ((well, unknown), (unknown, well), ({}, unknown))] == [[], [], []]
    assert [len(turned(before, sick)) for before in (well, unknown, {})] == [1, 1, 1]
