from skylane_operator.kube.store import Store
from skylane_operator.model.key import Key

A, B = Key("ns", "a"), Key("ns", "b")


def test_an_index_follows_every_change():
    store = Store({"first": lambda text: text[:1]})
    store.put(A, "xa")
    store.put(B, "xb")
    assert store.by("first", "x") == ("xa", "xb")
    assert store.put(A, "ya") == "xa"
    assert (store.by("first", "x"), store.by("first", "y")) == (("xb",), ("ya",))
    assert store.drop(B) == "xb"
    assert store.by("first", "x") == ()
    assert store.drop(B) is None


def test_a_value_may_stand_under_several_entries_and_the_same_one_twice():
    store = Store({"letters": list})
    store.put(A, "noon")
    assert store.keys_by("letters", "n") == store.keys_by("letters", "o") == [A]
    store.drop(A)
    assert store.keys_by("letters", "n") == []
