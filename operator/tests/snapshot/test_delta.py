from skylane_operator.snapshot import PodSnapshot, delta_for

BASE = {"generation": "b1"}
SNAPSHOT = PodSnapshot(base=BASE, listeners={"a": {"generation": "1"}, "b": {"generation": "2"}})


def test_new_pod_gets_everything():
    delta = delta_for(SNAPSHOT, "", {}, {"a", "b"})
    assert (delta.base, delta.upserts, delta.removals) == (
        BASE,
        ({"generation": "1"}, {"generation": "2"}),
        (),
    )


def test_only_what_differs_is_sent():
    delta = delta_for(SNAPSHOT, "b1", {"a": "1", "b": "old", "gone": "3"}, {"a", "b", "gone"})
    assert (delta.base, delta.upserts, delta.removals) == (None, ({"generation": "2"},), ("gone",))


def test_nothing_for_who_has_it_all():
    assert delta_for(SNAPSHOT, "b1", {"a": "1", "b": "2"}, {"a", "b"}).empty


def test_a_running_base_is_never_replaced():
    assert delta_for(SNAPSHOT, "b0", {}, ()).base is None


def test_a_rejected_base_is_not_given_to_anybody():
    assert delta_for(PodSnapshot(base=None, listeners={}), "", {}, ()).empty


def test_only_what_was_named_is_compared():
    delta = delta_for(SNAPSHOT, "b1", {"gone": "3"}, {"a", "never-there"})
    assert (delta.upserts, delta.removals) == (({"generation": "1"},), ())
