"""What random sessions (`test_graphs`) and foreign notebooks (`test_foreign`) found, each as the
few lines that a user would type.
"""

from __future__ import annotations

from typing import Any

import pytest


def test_a_class_is_not_kept_upon_a_base_that_comes_anew(two_shells: Any) -> None:
    """Going back in place, where a base class shares a function with a variable: the subclass gets the new base."""
    done = two_shells.run(
        "class Base:\n    def m(self): return 1\nclass Child(Base): pass\nmethod = Base.m; child = Child()\n"
        "import nbsnap\nnbsnap.snapshot()\nr = nbsnap.restore()\n"
        "print(Child.__bases__ == (Base,), Base.m is method, type(child) is Child)"
    )
    assert done.out == "True True True\n"


def test_a_placeholder_first_met_in_a_class_is_told(two_shells: Any) -> None:
    """An instance that its class holds is pickled with the class; what is left out of it has a line all the same."""
    report = two_shells.save(
        "class Plain:\n    made = []\na = Plain(); a.x = (i for i in ()); a.y = 1; Plain.made.append(a)\n"
    )
    assert [(skip["kind"], skip["name"], skip["path"]) for skip in report["skipped"]] == [("partly", "a", "a.x")]
    _, wrong = two_shells.restore({"the rest": "a.y == 1 and Plain.made == [a] and 'placeholder' in repr(a.x)"})
    assert wrong == {}


def test_a_placeholder_of_one_variable_does_not_get_into_another_that_takes_it_apart(two_shells: Any) -> None:
    """A generator in a list leaves a placeholder there; the object with a `__setstate__` that holds it, too, goes."""
    report = two_shells.save(
        "import functools\nclass Own:\n    def __init__(self, g): self.g = g\n"
        "    def __getstate__(self): return self.g\n"
        "    def __setstate__(self, state): self.g = list(state)\n"
        "bad = (i for i in ()); plain = [bad, 1]; own = Own(bad)\n"
        "around = {'near': plain, 'own': {'deep': Own(plain)}, 'ok': 2}\n"
        "call = functools.partial(print, plain)\n"
    )
    assert {(skip["kind"], skip["name"]) for skip in report["skipped"]} == {
        ("skipped", "bad"), ("skipped", "own"), ("partly", "call"), ("partly", "plain"), ("partly", "around"),
    }  # fmt: skip
    restored, wrong = two_shells.restore(
        {
            "held": "plain[1] == 1 and 'placeholder' in repr(plain[0])",
            "around": "around['ok'] == 2 and 'placeholder' in repr(around['own']['deep']) and around['near'] is plain",
        }
    )
    assert wrong == {}
    assert restored["failed"] == []


def test_a_bound_method_of_a_base_class_comes_back_where_its_object_is_held_by_another_class(two_shells: Any) -> None:
    """The object is loaded with that class, before the classes that stand behind it in the order are filled."""
    two_shells.save(
        "class Plain:\n    made = []\nclass Slotted:\n    def m(self): return self.x\nclass Both(Slotted): pass\n"
        "bound = Both(); bound.x = Plain.made; bound = bound.m"
    )
    report, wrong = two_shells.restore({"bound": "bound() is Plain.made and bound.__func__ is Slotted.m"})
    assert report["failed"] == []
    assert wrong == {}


def test_a_setstate_finds_the_names_of_the_session_in_its_callers_globals(two_shells: Any, own_folder: Any) -> None:
    """A model that evaluates its formula again when it is loaded looks there for functions that the user defined."""
    (own_folder / "formulas.py").write_text(
        "import sys\nclass Model:\n    def __init__(self, formula): self.formula = formula\n"
        "    def __setstate__(self, state):\n        vars(self).update(state)\n"
        "        self.value = eval(self.formula, sys._getframe(1).f_globals)\n"
    )
    two_shells.save("import formulas\ndef double(x): return 2 * x\nmodel = formulas.Model('double(4)'); a = model")
    report, wrong = two_shells.restore({"value": "model.value == 8 and a is model"})
    assert report["failed"] == []
    assert wrong == {}


@pytest.mark.parametrize("engine", ["auto", "cloudpickle", "dill"])
def test_neither_snapshot_nor_restore_keeps_objects_alive(two_shells: Any, engine: str) -> None:
    """`del x` afterwards frees its memory at once, and kills weak references, whatever was lost on the way."""
    done = two_shells.run(KEPT.replace("ENGINE", repr(engine)))
    assert done.out == ""


KEPT = r"""
import functools, gc, os, weakref
import numpy as np
import nbsnap

class Big:
    def __init__(self): self.a = np.arange(1e5)
class Refuses:
    def __reduce__(self): raise ValueError('no')

def gone(names, name, when):
    look = weakref.ref(names[name])
    names.clear()
    if look() is not None: print(shape, when, [type(holder) for holder in gc.get_referrers(look())])

gc.disable()
for shape in (
    "b = Big()", "b = np.arange(1e5)", "b = np.arange(1e5); c = b[::2]", "b = Big(); b.f = lambda: b",
    "b = Big(); b.bad = (i for i in ())", "b = Big(); b.bad = Refuses()", "b = Big(); b.bad = {Refuses(): 1}",
    "b = Big(); b.bad = functools.partial(print, open(os.devnull))", "b = functools.partial(print, Refuses()); c = 1",
    "class C:\n    made = [Refuses()]\nb = C()",
):
    for times in range(2):
        names, there = {'__name__': '__main__', 'Big': Big, 'Refuses': Refuses, 'np': np}, {}
        exec('import functools, os\n' + shape, names)
        nbsnap.snapshot(names, store='store', notebook='n', engine=ENGINE)
        gone(names, 'b', 'after a snapshot')
        nbsnap.restore(namespace=there, store='store', notebook='n')
        if 'b' in there: gone(there, 'b', 'after a restore')
"""


def test_a_class_is_never_left_out(two_shells: Any) -> None:
    """A method leads to its class by `super()`, and the class to a bad instance: both come back."""
    two_shells.save(
        "class Base:\n    def m(self): return 1\n"
        "class Plain(Base):\n    made = []\n    def m(self): return super().m()\n"
        "bad = Plain(); bad.x = (i for i in ()); Plain.made.append({'deep': bad})\n"
        "other = Plain(); call = other.m; held = [Plain, call]\n"
    )
    report, wrong = two_shells.restore(
        {"class": "type(other) is Plain and call() == 1 and held[0] is Plain and Plain.made[0]['deep'] is bad"}
    )
    assert report["failed"] == []
    assert wrong == {}


def test_containers_and_values_with_methods_of_their_own_come_back_past_them(two_shells: Any) -> None:
    """No `append`, `__setitem__`, `__init__` or `__new__` of the session's class runs when its objects are restored."""
    two_shells.save(
        "import collections\ncalls = []\n"
        "class Doubled(dict):\n    def __setitem__(self, k, v): calls.append(k); super().__setitem__(k, v * 2)\n"
        "class Log(list):\n    def __init__(self): self.n = 0\n"
        "    def append(self, x): self.n += 1; super().append(x)\n"
        "    def extend(self, xs): [self.append(x) for x in xs]\n"
        "class Least(collections.OrderedDict):\n    def __init__(self, room): self.room = room; super().__init__()\n"
        "    def __setitem__(self, k, v):\n        super().__setitem__(k, v)\n"
        "        if len(self) > self.room: self.popitem(last=False)\n"
        "class Tagged(set):\n    def __init__(self, tag): self.tag = tag; super().__init__()\n"
        "class Last(collections.deque):\n    def append(self, x): super().append(x + 1)\n"
        "class Lists(collections.defaultdict):\n    def __setitem__(self, k, v): super().__setitem__(k, [v])\n"
        "class Own(dict):\n    def __init__(self, **k): super().__init__(**k); self.__dict__ = self\n"
        "class Degrees(float):\n    def __new__(cls, v, unit):\n"
        "        self = super().__new__(cls, v * 2); self.unit = unit; return self\n"
        "class Pair(tuple):\n    def __new__(cls, a): return super().__new__(cls, (a, a))\n"
        "doubled = Doubled(); doubled['a'] = 1; log = Log(); log.append(3); log.append(log)\n"
        "least = Least(2); least['a'] = 1; least['b'] = 2; least['c'] = 3; tagged = Tagged('t'); tagged.add(2)\n"
        "last = Last(maxlen=2); last.append(1); lists = Lists(list); lists['a'] = 1; own = Own(x=1); own.me = own\n"
        "warm = Degrees(1.5, 'C'); pair = Pair(log)"
    )
    assert two_shells.run("import nbsnap\nnbsnap.restore(); nbsnap.snapshot()").out == ""
    restored, wrong = two_shells.restore(
        {
            "dict": "doubled == {'a': 2} and calls == ['a']",
            "list": "log[0] == 3 and log[1] is log and log.n == 2",
            "ordered": "list(least) == ['b', 'c'] and least.room == 2 and type(least) is Least",
            "set": "tagged == {2} and tagged.tag == 't'",
            "deque": "list(last) == [2] and last.maxlen == 2",
            "default": "dict(lists) == {'a': [1]} and lists['new'] == []",
            "own": "own.me is own and own.__setitem__('y', 2) is None and own.y == 2",
            "values": "warm == 3.0 and warm.unit == 'C' and len(pair) == 2 and pair[0] is pair[1] is log",
        }
    )
    assert restored["failed"] == []
    assert wrong == {}


def test_a_placeholder_that_is_saved_again_is_told_with_its_place_in_each_variable(two_shells: Any) -> None:
    """One placeholder that several variables hold has a path in each of them, in the next snapshot, too."""
    report = two_shells.save(
        "bad = (i for i in ()); first = {'a': [bad]}; second = [0, bad]; third = (first, {'b': bad})"
    )
    paths = {skip["name"]: skip["path"] for skip in report["skipped"] if skip["kind"] == "partly"}
    done = two_shells.run(
        "import nbsnap\nnbsnap.restore()\n"
        "print(*sorted(s.path for s in nbsnap.snapshot().skipped if s.kind == 'partly'), sep='\\n')"
    )
    assert paths["first"] == "first['a'][0]"
    assert paths["second"] == "second[1]"
    assert done.out.splitlines() == sorted(paths.values())


def test_a_weak_reference_whose_object_is_gone_comes_back_as_the_key_that_it_was(two_shells: Any) -> None:
    """Its hash was taken while the object lived; a dead one without a hash could not be put into a dict."""
    two_shells.save(
        "import weakref\nclass Plain: pass\ngone = Plain(); key = weakref.ref(gone); table = {key: 1}\n"
        "Plain.known = {key}; other = Plain(); del gone\n"
    )
    restored, wrong = two_shells.restore(
        {"key": "key() is None and table[key] == 1", "class": "Plain.known == {key}", "object": "type(other) is Plain"}
    )
    assert (restored["failed"], wrong) == ([], {})


def test_a_class_that_shares_a_list_with_another_is_known_again_when_it_comes_by_itself(two_shells: Any) -> None:
    """It came with an instance before; it is the same class only if what it shares is looked at as well."""
    two_shells.save(
        "class Plain: pass\nclass Both: pass\nPlain.made = [Both]; Both.made = [Plain.made]; one = Plain()\n"
    )
    done = two_shells.run(
        "import nbsnap\nnbsnap.restore(only=['one'])\nkind = type(one)\nBoth = one.made[0]\nfirst = Both\n"
        "nbsnap.restore(only=['Both'])\nprint(Both is first, Both.made[0] is kind.made)"
    )
    assert done.out == "True True\n"


def test_objects_that_share_their_attributes_go_on_sharing_them(two_shells: Any) -> None:
    """One dict for all instances of a class, and `vars(x)` under a name: what is set in one is seen in the other."""
    two_shells.save(
        "class Borg:\n    state = {}\n    def __init__(self): self.__dict__ = self.state\n"
        "one, two = Borg(), Borg(); one.x = [1]\n"
        "class Made:\n    common = {}\n    def __new__(cls):\n"
        "        new = super().__new__(cls); new.__dict__ = cls.common\n        return new\n"
        "first, second = Made(), Made()\n"
        "class Plain: pass\n"
        "class Slotted(Plain): __slots__ = ('s',)\n"
        "p = Plain(); p.me = p; names = vars(p); s = Slotted(); s.s = 3; none = vars(s)\n"
    )
    _, wrong = two_shells.restore(
        {
            "one for all": "vars(one) is vars(two) is Borg.state and two.x == [1]",
            "by __new__": "vars(first) is vars(second) is Made.common == {}",
            "named": "vars(p) is names and names['me'] is p",
            "empty, with slots": "vars(s) is none and none == {} and s.s == 3",
        }
    )
    assert wrong == {}


def test_classes_of_attrs_do_not_tie_variables_together(two_shells: Any) -> None:
    """Their methods are compiled in a copy of the namespace: only what they read of it travels with them."""
    two_shells.save(
        "import attrs\nbulk = list(range(1000)); loose = {1: [2]}\n@attrs.define\nclass Point:\n    x: int = 0\n"
        "    y: list = attrs.field(factory=list)\n@attrs.define\nclass Made:\n    point: Point\n"
        "    y: int = attrs.field(converter=int)\n"
        "made = attrs.make_class('Late', ['q']); one = made(Point(1)); held = Made(one.q, '3'); bulk.append(loose)"
    )
    done = two_shells.run(
        "import nbsnap\nfor name in ('one', 'held', 'bulk'): print((r := nbsnap.restore(only=[name])).ok, end=' ')\n"
        "print(one.q is held.point, held.y, bulk[-1], type(held).__init__.__globals__.get('bulk'))\n"
    )
    assert done.out == "True True True False 3 {1: [2]} None\n"


def test_what_pickle_calls_is_set_before_any_other_method(two_shells: Any) -> None:
    """A method of one class holds an object of another, which has slots and a `__setstate__`; the classes are tied."""
    two_shells.save(
        "class Zed:\n    __slots__ = ('x',)\n    def __getstate__(self): return (self.x,)\n"
        "    def __setstate__(self, state): self.x, = state\n"
        "zed = Zed(); zed.x = []\nclass First:\n    def __eq__(self, other, held=zed): return held is zed\n"
        "    __hash__ = None\n    def m(self, held=zed): return held\nZed.first = First; Zed.zed = zed"
    )
    _, wrong = two_shells.restore(
        {"one object": "First().m() is zed and Zed.zed is zed and First() == 1 and zed.x == []"}
    )
    assert wrong == {}


def test_variables_that_come_back_apart_are_named(two_shells: Any) -> None:
    """Two share a list; restored one after the other they do not, and the second restore says so."""
    two_shells.save("shared = [1]; a = [shared]; b = {'k': shared}; c = 3")
    done = two_shells.run(
        "import nbsnap\nfirst = nbsnap.restore(only=['a', 'c']); second = nbsnap.restore(only=['b'])\n"
        "both = nbsnap.restore(only=['a', 'b'])\nprint(first.notes, both.notes, a[0] is b['k'])\nprint(second.notes[0])"
    )
    assert done.out == (
        "() () True\nb shared objects with a, now apart: restore them together to have them share again\n"
    )


def test_small_variables_of_one_batch_share_nothing(two_shells: Any) -> None:
    """One of them restored alone is not told to have shared objects with the others, which are there."""
    two_shells.save("a = [1]; b = [2]; c = [3]")
    done = two_shells.run("a = [1]; b = [2]; c = [3]\nimport nbsnap\nprint(nbsnap.restore(only=['b']).notes)")
    assert done.out == "()\n"


def test_the_decimal_context_that_is_a_variable_is_the_one_in_force(two_shells: Any) -> None:
    """`ctx = decimal.getcontext()` goes on being what arithmetic uses; another context stays another."""
    two_shells.save("import decimal\nctx = decimal.getcontext(); ctx.prec = 7; other = decimal.Context(prec=3)")
    _, wrong = two_shells.restore(
        {"in force": "ctx is decimal.getcontext() and ctx.prec == 7", "other": "other.prec == 3 and other is not ctx"}
    )
    assert wrong == {}


def test_an_array_of_a_subclass_is_a_view_of_the_very_array(two_shells: Any) -> None:
    """`base.view(Sub).base is base`, as before."""
    two_shells.save(
        "import numpy as np\nclass Sub(np.ndarray): pass\nbase = np.arange(10.); sub = base.view(Sub)\n"
        "part = base[2:].view(Sub)"
    )
    _, wrong = two_shells.restore(
        {"whole": "sub.base is base and type(sub) is Sub", "part": "np.shares_memory(part, base) and type(part) is Sub"}
    )
    assert wrong == {}


def test_parts_of_exceptions_deques_and_keys_are_named_by_their_place(two_shells: Any) -> None:
    """A bad argument costs itself; a bad key, the whole; both lines say where it is."""
    report = two_shells.save(
        "import collections\nclass No:\n    def __reduce__(self): raise TypeError('no')\n"
        "error = ValueError('x', No(), 3); dq = collections.deque([1, No()]); keyed = {1: 2, No(): 3}"
    )
    lines = {skip["name"]: (skip["kind"], skip["path"]) for skip in report["skipped"]}
    assert lines == {
        "error": ("partly", "error.args[1]"), "dq": ("partly", "dq[1]"), "keyed": ("skipped", "keyed.keys()[1]"),
    }  # fmt: skip
    _, wrong = two_shells.restore({"the rest": "error.args[::2] == ('x', 3) and dq[0] == 1"})
    assert wrong == {}


def test_an_empty_view_stays_a_view(two_shells: Any) -> None:
    """It shows no byte of the array that it is cut from, and leads back to the same memory all the same."""
    two_shells.save("import numpy as np\na = np.arange(13.0)[:12]; first = a[:0]; last = a[12:]")
    _, wrong = two_shells.restore({"one memory": "a.base is first.base and a.base is last.base and a[11] == 11"})
    assert wrong == {}
