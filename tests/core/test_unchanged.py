"""Small variables that are known to be as they were: each snapshot is what it would be if nothing were known."""

from __future__ import annotations

import gc
import pickle
import random
import sys
import threading

import pytest

import nbsnap
from nbsnap import manifest, preview, tables, unchanged
from nbsnap.sieve import Sieve


@pytest.fixture
def place(tmp_path, monkeypatch):
    know_nothing()
    monkeypatch.setattr(preview, "SECONDS", 60.0)  # what is shown is not to depend on how busy the machine is
    return tmp_path / "store"


def recorded(namespace, place, **more):
    """Take a snapshot, and return all that it says of variables, and as it stands in its manifest."""
    report = nbsnap.snapshot(namespace, store=place, notebook="n", **more)
    (file,) = place.glob(f"snapshots/*/*-{report.id}*.snap")
    _, body = manifest._verified(file.read_bytes())
    snapshot = manifest.decode(file.read_bytes())
    del body["packs"]
    return snapshot.variables, snapshot.groups, snapshot.skips, snapshot.previews, snapshot.head.size, str(body)


def know_nothing():
    """Forget all that is known, as a new process would."""
    unchanged.as_they_were({})  # nothing is left of names that are gone
    unchanged.remember({})
    tables._runs.clear()


def check(namespace, place, **more):
    """Compare a snapshot with one for which nothing is known."""
    found = recorded(namespace, place, **more)
    know_nothing()
    assert found == recorded(namespace, place, **more)
    return found


def session():
    return {
        "number": 1,
        "text": "some text " * 20,
        "listed": [1, 2.0, "three", None, True, b"six", (7, "eight")],
        "mapping": {"a": 1, "b": (2, 3), 5: "c"},
        "pair": (1, ("two", 3.0)),
        "nested": {"a": [1, 2], "b": {"c": [3]}},
        "zeros": [0.0, 0, False],
        "words": ["a" * 30, "b" * 30],
    }


CHANGES = {
    "an equal number of another type": lambda s: s["listed"].__setitem__(0, True),
    "an equal float": lambda s: s["listed"].__setitem__(0, 1.0),
    "the other zero": lambda s: s["zeros"].__setitem__(0, -0.0),
    "one more": lambda s: s["listed"].append(4),
    "one less": lambda s: s["listed"].pop(),
    "another order": lambda s: s["listed"].reverse(),
    "an equal list": lambda s: s.update(listed=list(s["listed"])),
    "a tuple of it": lambda s: s.update(listed=tuple(s["listed"])),
    "a key again": lambda s: s["mapping"].update(a=s["mapping"].pop("a")),
    "an equal key": lambda s: (s["mapping"].pop(5), s["mapping"].update({5.0: "c"})),
    "another value": lambda s: s["mapping"].update(b=(2, 4)),
    "deep inside": lambda s: s["nested"]["b"]["c"].append(4),
    "the same text twice": lambda s: s["words"].__setitem__(1, s["words"][0]),
    "an equal text": lambda s: s["words"].__setitem__(0, "".join("a" for _ in range(30))),
    "another name of it": lambda s: s.update(other=s["listed"]),
    "held by another": lambda s: s.update(holder={"inside": [s["listed"]]}),
    "held by itself": lambda s: s["listed"].append(s["listed"]),
    "gone": lambda s: s.pop("mapping"),
    "a secret in it": lambda s: s["mapping"].update(password="hunter2-hunter2"),
    "a secret beside it": lambda s: (s.update(password="three"), s["words"].append("x three y")),
}


def there_and_back(make, change, place):
    """Change what is made, and make it anew: each time the records are those of a new process. Return the first."""
    namespace = make()
    before = recorded(namespace, place)
    assert recorded(namespace, place) == before
    change(namespace)
    after = check(namespace, place)
    assert check(namespace, place) == after
    assert check(make(), place) == before
    return before


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(change, place):
    """A change of whatever kind, and back again, gives the records that it would give in a new process."""
    there_and_back(session, change, place)


def test_arrays(place):
    """An array is as it was if its bytes are, and how they lie in memory."""
    np = pytest.importorskip("numpy")
    namespace = {"a": np.arange(12.0), "b": np.arange(6).reshape(2, 3), "c": np.asfortranarray(np.eye(3)), "n": 1}
    before = check(namespace, place)
    assert recorded(namespace, place) == before
    changes = [
        lambda: namespace["a"].__setitem__(3, -3.0),
        lambda: namespace.update(a=namespace["a"].reshape(3, 4)),
        lambda: namespace.update(a=namespace["a"].astype("i8")),
        lambda: namespace.update(view=namespace["b"][0]),
        lambda: namespace.update(c=np.ascontiguousarray(namespace["c"])),
        lambda: namespace["b"].setflags(write=False),
        lambda: namespace.update(b=namespace["b"].astype(">i4")),
    ]
    for change in changes:
        change()
        after = check(namespace, place)
        assert recorded(namespace, place) == after


def many():
    """A session of many batches, of all kinds of small variables."""
    np = pytest.importorskip("numpy")
    namespace = {}
    for k in range(600):
        kinds = [k] * 200, {f"key {j}": k for j in range(50)}, np.arange(100.0) + k, f"text {k} " * 100, (k, "x")
        namespace[f"v{k:03}"] = kinds[k % 5]
    return namespace


MANY = {
    "nothing": lambda s: None,
    "one is another": lambda s: s.update(v000="another"),
    "one has changed in place": lambda s: s["v100"].append(1),
    "an element of an array": lambda s: s["v102"].__setitem__(5, -1.0),
    "one is gone": lambda s: s.pop("v301"),
    "one is new": lambda s: s.update(v1000=[1, 2]),
    "one is moved": lambda s: s.update(v000=s.pop("v000")),
    "a group more in front of all batches": lambda s: s.update(big="x" * 100_000, other=["x" * 100_000]),
    "an array that is held by two": lambda s: s.update(view=s["v102"]),
    "one that has become nested": lambda s: s["v100"].append([1]),
    "only some": lambda s: [s.pop(f"v{k:03}") for k in range(0, 600, 7)],
}


@pytest.mark.parametrize("change", MANY.values(), ids=MANY)
def test_many_batches(change, place):
    """After a change of one of hundreds, and back, each batch is what it would be in a new process, and its number."""
    assert len(there_and_back(many, change, place)[1]) > 5


def test_streams_are_taken_over(place):
    """Of many batches only that of which a part has changed is made anew, also where their numbers are others."""
    namespace = many()
    recorded(namespace, place)
    before = dict(unchanged._batches)
    recorded(namespace, place)
    assert unchanged._batches == before
    namespace["v100"].append(1)
    namespace["big"] = "x" * 100_000
    recorded(namespace, place)
    streams = {id(batch.stream) for batch in before.values()}
    made = [batch for batch in unchanged._batches.values() if id(batch.stream) not in streams]
    assert 1 <= len(made) <= 3
    assert len(unchanged._batches) > len(made) + 5


def test_a_stream_that_the_store_has_lost_is_written_again(place, tmp_path):
    """What is known of a stream is its id, not that a store has it."""
    namespace = {"a": [1, 2, 3], "b": "text " * 100}
    for where in (place, tmp_path / "another", place):
        recorded(namespace, where)
        came = {}
        nbsnap.restore(namespace=came, store=where, notebook="n")
        assert came == namespace
    for file in place.glob("packs/*/*.pack"):
        file.unlink()
    recorded(namespace, place)
    came = {}
    nbsnap.restore(namespace=came, store=place, notebook="n")
    assert came == namespace


def test_what_is_known_is_used(place):
    """The second time nothing small is pickled, looked through or shown again; what has changed is."""
    namespace = {f"v{k}": [k, str(k)] for k in range(200)}
    recorded(namespace, place)
    known = unchanged.as_they_were(namespace)
    assert set(known) == set(namespace)
    assert all(one.sieve is None for one in known.values())
    recorded(namespace, place)
    assert all(one.sieve is not None for one in known.values())
    namespace["v7"].append(1)
    assert set(unchanged.as_they_were(namespace)) == set(namespace) - {"v7"}
    recorded(namespace, place)
    again = unchanged.as_they_were(namespace)
    assert again["v8"] is known["v8"]
    assert again["v7"].data != known["v7"].data


def skipped(namespace, place, **more):
    return sorted(skip.name for skip in nbsnap.snapshot(namespace, store=place, notebook="n", **more).skipped)


@pytest.mark.parametrize("between", ["a dry run", "another", "strict", "a difference"])
def test_what_was_saved_with_its_secrets_is_no_clean_thing(between, place):
    """After a snapshot with secrets, whatever comes between, each one without them withholds them."""
    namespace = {"token": "ghp_" + "a1B2" * 9, "config": {"password": "hunter2-hunter2"}, "x": [1]}
    report = nbsnap.snapshot(namespace, name="whole", store=place, notebook="n", include_secrets=True)
    assert (report.name, report.skipped) == ("whole", ())
    match between:
        case "a dry run":
            assert skipped(namespace, place, dry_run=True) == ["config", "token"]
        case "another":
            assert skipped(namespace, place) == ["config", "token"]
        case "strict":
            with pytest.raises(nbsnap.StrictError):
                skipped(namespace, place, strict=True)
        case _:
            nbsnap.diff(namespace=namespace, store=place, notebook="n")
    for _ in range(3):
        assert skipped(namespace, place) == ["config", "token"]


@pytest.mark.parametrize("own", [3, 30])
def test_a_known_table_in_another_variable_is_not_counted_as_its_own(own, place):
    """What is a table of passwords by itself makes none of what holds it too, whether it is known by then or not."""
    table = {f"{k}_password": f"hunter{k}-hunter" for k in range(25)}
    holder = {**{f"{k}_password": f"winter{k}-winter" for k in range(own)}, "table": table}
    for _ in range(4):
        assert len(skipped({"table": table, "holder": holder}, place)) == (own if own <= 20 else 0)


def test_another_sieve_looks_again(place):
    """What one sieve lets through is no secret by that sieve only."""
    namespace = {"words": ["BADGE-123456"], "config": {"password": "hunter2-hunter2"}, "x": [1]}
    mine = Sieve(values=("BADGE-[0-9]+",))
    weak = Sieve(allowed=("config", "password"))
    for _ in range(3):
        assert skipped(namespace, place) == ["config"]
        assert skipped(namespace, place, secrets=mine) == ["config", "words"]
        assert skipped(namespace, place, secrets=weak) == []
        assert skipped(namespace, place, secrets=weak) == []


def test_a_preview_is_masked_by_the_sieve_of_now(place):
    """What is too long to be looked through is masked where it is shown, by today's sieve."""
    namespace = {"long": ["BADGE-123456"] + ["x"] * 2_000}
    for secrets in (Sieve(), Sieve(values=("BADGE-[0-9]+",)), Sieve()):
        for _ in range(2):
            _, _, _, previews, *_ = recorded(namespace, place, secrets=secrets)
            assert ("BADGE-123456" in previews[0].text) == (not secrets.values)


def test_what_nobody_had_time_for_is_not_taken_for_clean(place):
    """Where there was too much to be looked through, what was left out is looked at when there is less."""
    namespace = {f"v{k}": [f"some text {k} {n}" for n in range(90)] for k in range(250)}
    namespace["zz"] = ["x"] * 96 + ["ghp_" + "a1B2" * 9]
    for _ in range(3):
        recorded(namespace, place)
    for name in [name for name in namespace if name != "zz"]:
        del namespace[name]
    namespace["x"] = 1
    assert skipped(namespace, place) == ["zz"]


def test_what_nobody_had_time_for_has_its_turn(place, monkeypatch):
    """What was passed over is looked at by and by, although nothing is taken away; what is new does not wait for it."""
    monkeypatch.setattr(unchanged, "_turn", 0)
    namespace = {f"v{k}": f"some text {k} " * 150 for k in range(600)}
    namespace |= {f"d{k}": {f"some key {n}": n for n in range(90)} for k in range(300)}
    namespace |= {"long": "x y " * 700 + "ghp_" + "a1B2" * 9, "wide": {f"key {n}": n for n in range(95)}}
    namespace["wide"]["token"] = "ghp_" + "b1C2" * 9
    assert skipped(namespace, place) == []
    namespace["new"] = {"password": "hunter2-hunter2"}
    assert skipped(namespace, place) == ["new"]
    turns = next(turn for turn in range(100) if skipped(namespace, place) == ["long", "new", "wide"])
    assert turns > 2
    del namespace["long"], namespace["wide"], namespace["new"]

    def are_clean():
        assert skipped(namespace, place) == []
        return {name for name, one in unchanged.as_they_were(namespace).items() if one.sieve} == namespace.keys()

    assert any(are_clean() for _ in range(100))


def test_what_nobody_had_time_for_is_looked_at_at_once_where_there_is_time(place):
    """Where what waits is not too much any more, none of it waits any longer."""
    namespace = {f"v{k}": f"some text {k} " * 500 for k in range(160)}
    namespace["mail"] = "some text " * 800 + "ghp_" + "a1B2" * 9
    assert skipped(namespace, place) == []
    for k in range(100):
        del namespace[f"v{k}"]
    assert skipped(namespace, place) == ["mail"]


@pytest.mark.parametrize("name", ["current", "password", "zz"])
def test_what_goes_by_two_names_is_not_clean_under_one(name, place):
    """What was passed over under one name was passed over under the other, whichever comes first."""
    docs = {f"doc{i}": ("word " * 1_200) + str(i) for i in range(99)}
    prompt = {"text": "word " * 1_400 + "ghp_" + "a1B2" * 9}
    namespace = {"current": None, "password": None, "docs": docs, "prompt": prompt, "zz": None}
    assert skipped(namespace, place) == []
    for _ in range(2):
        namespace[name] = prompt
        assert skipped(namespace, place) == []
    del namespace["docs"]
    for _ in range(2):
        assert skipped(namespace, place) == sorted([name, "prompt"])
    namespace[name] = None
    assert skipped(namespace, place) == ["prompt"]


def test_a_name_that_waits_hides_nothing_from_another(place):
    """A dict that waits for its turn is looked at as soon as a new variable is bound to it."""
    namespace = {f"d{k:03}": {f"some key {n}": n for n in range(90)} for k in range(600)}
    namespace["d599"] = {**namespace["d599"], "more": 1, "token": "ghp_" + "a1B2" * 9}
    assert skipped(namespace, place) == []
    for name in [f"d{k:03}" for k in range(590)]:
        namespace[name] = 1
    namespace = {"first": namespace["d599"], **namespace}
    assert skipped(namespace, place) == ["d599", "first"]


def test_threads_take_turns(place):
    """Two threads that take snapshots of different sessions at once do not get into each other's way."""
    failed, before = [], sys.getswitchinterval()

    def work(notebook, make):
        try:
            for turn in range(15):
                namespace = {f"v{k}": make(k + turn // 3) for k in range(100)}
                nbsnap.snapshot(namespace, store=place, notebook=notebook)
                came = {}
                nbsnap.restore(namespace=came, store=place, notebook=notebook)
                assert came == namespace
        except BaseException as error:
            failed.append(error)

    threads = [
        threading.Thread(target=work, args=("a", lambda k: [k, str(k)])),
        threading.Thread(target=work, args=("b", lambda k: {k: str(k)})),
        threading.Thread(target=work, args=("c", str)),
    ]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert failed == []
    assert gc.isenabled()


def test_an_array_with_metadata_is_another(place):
    """Two dtypes that are equal are not the same where one has metadata."""
    np = pytest.importorskip("numpy")
    namespace = {"a": np.zeros(3, "i4"), "b": [1]}
    recorded(namespace, place)
    namespace["a"] = np.zeros(3, np.dtype("i4", metadata={"unit": "m"}))
    recorded(namespace, place)
    came = {}
    nbsnap.restore(namespace=came, store=place, notebook="n")
    assert came["a"].dtype.metadata == {"unit": "m"}


def test_a_name_that_is_bound_anew_meanwhile(place):
    """What another thread binds between two steps is never taken for the dict that was there."""

    class Names(dict):
        def get(self, name):
            return {"was": 1}

        def __getitem__(self, name):
            return object()

    looked = unchanged.Looked(Names(x=1), ["x"], 100)
    assert list(looked.versions) == ["x"]
    assert not looked.atoms


def test_what_a_look_is_given_to_see(place):
    """What is kept is clean at once where it can only be what was looked at, not where it is another by then."""
    np = pytest.importorskip("numpy")
    namespace = {"text": "some text " * 9, "table": {"a": 1, "b": 2}, "short": [1, 2], "long": [1, 2] * 100}
    namespace |= {"row": (1, "b"), "numbers": np.arange(3.0), "gone": 1}
    changes = {
        "nothing": {},
        "another text": {"text": "some other text"},
        "an equal table": {"table": {"a": 1, "b": 2}},
    }
    sieve = Sieve()
    for change in changes.values():
        know_nothing()
        values = dict(namespace)
        looked = unchanged.Looked(values, values, 100)
        values.update(change)
        for name in ("text", "table", "short", "long", "row", "numbers"):
            made, number = unchanged.private(values[name])
            unchanged.keep(name, made, number, pickle.dumps(made, 5))
        looked.found_clean(sieve, {"long"})
        unchanged.passed_over({"long", "gone"}, sieve)
        known = unchanged.as_they_were(values)
        clean = {name for name, one in known.items() if one.sieve is sieve}
        assert clean == {"numbers", "table", "text"} - change.keys()
        assert [name for name, one in known.items() if one.passed is sieve] == ["long"]
    know_nothing()
    looked = unchanged.Looked(namespace, namespace, 100)
    namespace["table"]["a"] = 7  # by another thread, between the two
    made, number = unchanged.private(namespace["table"])
    unchanged.keep("table", made, number, pickle.dumps(made, 5))
    looked.found_clean(sieve, ())
    assert unchanged.as_they_were(namespace)["table"].sieve is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_remembered_as_it_was_pickled(order, place):
    """What another thread does to an array between the two steps is not what is remembered, whatever step it is."""
    np = pytest.importorskip("numpy")
    array = np.zeros((2, 2), "i1", order=order)
    array.flags.writeable = False
    made = unchanged.private(array)[0]
    array.flags.writeable = True
    array[:] = 1
    data = pickle.dumps(made, 5)
    array[:] = 2
    unchanged.keep("array", made, 0, data)
    assert unchanged.as_they_were({"array": array}) == {}
    unchanged.keep("array", made, 0, data)
    array[:] = 0
    array.flags.writeable = False
    known = unchanged.as_they_were({"array": array})["array"]
    came = pickle.loads(known.data)
    assert came.tolist() == [[0, 0], [0, 0]]
    assert not came.flags.writeable
    assert came.flags.f_contiguous == (order == "F")


def test_deep_tuples_cost_no_more_than_before(place):
    """However many tuples lie in one another, no more of them are gone through than the limit says."""
    deep = ("x",)
    for _ in range(100):
        deep = (deep, 1)
    assert not unchanged.cannot_change([deep] * 10_000, 20_000)
    assert unchanged.cannot_change([deep] * 10, 20_000)


def test_memory_is_bounded(place, monkeypatch):
    """Where it would take too much memory, nothing more is remembered; what is gone from the session is forgotten."""
    monkeypatch.setattr(unchanged, "MOST", 100_000)
    namespace = {f"v{k}": "x" * 1000 + str(k) for k in range(1000)}
    before = check(namespace, place)
    assert recorded(namespace, place) == before
    some = unchanged.as_they_were(namespace)
    assert 10 < len(some) < 100
    for name in list(some)[1:]:
        del namespace[name]
    assert len(unchanged.as_they_were(namespace)) == 1
    assert unchanged._size == sum(known.size for known in unchanged._known.values()) < 10_000
    check(namespace, place)


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "compared"])
def test_random_changes(numbered, place, monkeypatch):
    """A hundred rounds of random changes: whatever is known, the records are those of a process that knows nothing."""
    if not numbered:  # as where nobody can tell the version of a dict
        monkeypatch.setattr(unchanged, "version", lambda mapping: 0)
    rng = random.Random(20)
    atoms = [0, 1, True, 1.0, 0.0, -0.0, "", "x", "long text " * 9, None, b"b", 2 + 1j, (1, 2), ("x", (1.0, None))]
    names = [f"v{k}" for k in range(12)]
    namespace = {}
    for _ in range(100):
        name = rng.choice(names)
        value = namespace.get(name)
        match rng.randrange(7):
            case 0:
                namespace[name] = rng.choice(atoms)
            case 1:
                namespace[name] = [rng.choice(atoms) for _ in range(rng.randrange(5))]
            case 2:
                namespace[name] = {rng.choice(atoms): rng.choice(atoms) for _ in range(rng.randrange(5))}
            case 3 if isinstance(value, list):
                value.insert(rng.randrange(len(value) + 1), rng.choice([*atoms, [1]]))
            case 4 if isinstance(value, dict) and value:
                value[rng.choice(list(value))] = rng.choice([*atoms, [1]])
            case 5 if namespace:
                namespace[name] = namespace[rng.choice(list(namespace))]
            case _:
                namespace.pop(name, None)
        namespace["some"] = 1
        found = recorded(namespace, place)
        assert found == recorded(namespace, place)
        if rng.random() < 0.5:  # as in a process that knows nothing; else what is known grows older
            check(namespace, place)


def test_another_thread_changes_them(place):
    """What is saved of a list that another thread changes is a state that it had, each time."""
    namespace = {"a": [0] * 50, "b": dict.fromkeys("abcdef", 0)}
    stop = threading.Event()

    def work():
        number = 0
        while not stop.is_set():
            number += 1
            namespace["a"][:] = [number] * 50
            namespace["b"].update(dict.fromkeys("abcdef", number))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(40):
            nbsnap.snapshot(namespace, store=place, notebook="n")
            came = {}
            nbsnap.restore(namespace=came, store=place, notebook="n")
            assert len(set(came["a"])) == 1
            assert len(came["b"]) == 6
    finally:
        stop.set()
        thread.join()
    recorded(namespace, place)
    came = {}
    nbsnap.restore(namespace=came, store=place, notebook="n")
    assert came == namespace
