"""Secrets stay out of the store, whatever holds them, and out of all that is said; in real processes and kernels."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import zstandard

TOKEN = "ghp" + "_" + "a1B2c3D4e5F6" * 3
PASSWORD = "hunter-2-hunter"

#: What a session of somebody who talks to services is like.
SESSION = f"""
import os
TOKEN = {TOKEN!r}
db_password = {PASSWORD!r}
copy_of_it = "".join(list(db_password))
url = "postgresql://me:" + db_password + "@db.example.org/sales"
config = {{"host": "db.example.org", "api_key": TOKEN, "retries": [1, 2], "nested": {{"password": db_password}}}}
alias = config
env = dict(os.environ, GITHUB_TOKEN=TOKEN, HOME="/home/me")
deep = [[[[[[["x", "Bearer " + TOKEN]]]]]]]
long = "a line of a log\\n" * 5000 + "with " + TOKEN
keyed = {{TOKEN: 1}}
class Client:
    retries = 3
    secret_key = "s3cr3t-of-the-class"
    def __init__(self): self.password, self.host = db_password, "h"
client = Client()
def login():
    password = {PASSWORD!r}
    return password
def greet(name, token=TOKEN): return "hello " + name
def remember():
    key = TOKEN + ""
    def use(): return key
    return use
use = remember()
tokens = ["the", "cat"]
token_count = 2
plain = {{"a": 1}}
error = ValueError("wrong key " + TOKEN)
"""


def everything(folder: Path) -> bytes:
    """All that a store holds, raw and decoded: each file, each manifest's body, each piece of each pack.

    It is read as docs/format.md says, with nothing of the package.
    """
    found = []
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        data = file.read_bytes()
        found.append(data)
        if file.suffix == ".snap":
            found.append(zstandard.ZstdDecompressor().decompress(data.partition(b"\n")[2]))
        if file.suffix == ".pack":
            index = file.with_suffix(".index").read_bytes()
            for _, offset, stored, raw, codec in struct.iter_unpack("<32sQIIB3x", index[40:-40]):
                piece = data[offset : offset + stored]
                found.append(zstandard.ZstdDecompressor().decompress(piece) if codec else piece)
                assert len(found[-1]) == raw
    assert len(found) > 4
    return b"\0".join(found)


def forms(secret: str) -> list[bytes]:
    """The bytes in which a text may stand somewhere."""
    return [secret.encode(), secret.encode("utf-16-le"), secret.encode("utf-32-le"), secret[::-1].encode()]


def test_no_byte_of_a_secret_is_in_the_store(two_shells: Any) -> None:
    """Neither variables nor parts, copies, closures, defaults, code, keys or long texts carry one; each has a line."""
    report = two_shells.save(SESSION)
    store = everything(two_shells.folder / ".nbsnap")
    for secret in (TOKEN, PASSWORD, "s3cr3t-of-the-class"):
        assert not any(form in store for form in forms(secret))
        assert secret not in json.dumps(report)
    skipped = {skip["name"]: skip for skip in report["skipped"] if skip["kind"] == "skipped"}
    assert {"TOKEN", "db_password", "copy_of_it", "url", "long", "keyed", "login"} <= set(skipped)
    assert skipped["TOKEN"]["reason"] == "looks like a secret (a GitHub token); --include-secrets saves it"
    assert {name: skipped[name]["secret"] for name in ("TOKEN", "db_password", "url")} == {
        "TOKEN": "github-token", "db_password": "named-secret", "url": "url-password",
    }  # fmt: skip
    partly = {skip["path"] for skip in report["skipped"] if skip["kind"] == "partly"}
    assert {"config['api_key']", "config['nested']['password']", "alias['api_key']", "client.password"} <= partly
    restored, wrong = two_shells.restore(
        {
            "what is none": "tokens == ['the', 'cat'] and token_count == 2 and plain == {'a': 1}",
            "the rest": "config['host'] == 'db.example.org' and config['retries'] == [1, 2] and client.host == 'h'",
            "aliases": "alias is config",
            "placeholders": "'looks like a secret' in repr(config['api_key'])",
            "environment": "env['HOME'] == '/home/me'",
            "functions": "greet('you', 1) == 'hello you'",
            "nothing": "'TOKEN' not in globals() and 'db_password' not in globals()",
        }
    )
    assert restored["failed"] == []
    assert wrong == {}


def test_with_include_secrets_they_come_along(two_shells: Any) -> None:
    """They are in the pieces, and come back; what is shown of them is masked all the same."""
    report = two_shells.save(SESSION, "nbsnap.snapshot(include_secrets=True)")
    assert report["skipped"] == []
    assert TOKEN.encode() in everything(two_shells.folder / ".nbsnap")
    for manifest in (two_shells.folder / ".nbsnap").rglob("*.snap"):
        data = manifest.read_bytes()
        assert TOKEN.encode() not in data + zstandard.ZstdDecompressor().decompress(data.partition(b"\n")[2])
    _, wrong = two_shells.restore(
        {
            "tokens": f"TOKEN == config['api_key'] == greet.__defaults__[0] == use() == {TOKEN!r}",
            "passwords": f"db_password == client.password == login() == {PASSWORD!r}",
        }
    )
    assert wrong == {}


def test_settings_of_a_program(two_shells: Any) -> None:
    """What looks like one can be said; and what does not."""
    source = "badge = 'blue'; password_of_the_day = 'joshua'; code = 'BADGE-123456'; x = 1"
    sieve = "nbsnap.Sieve(names=('badge',), values=(r'BADGE-\\d+',), allowed=('password_of_the_day',))"
    report = two_shells.save(source, f"nbsnap.snapshot(secrets={sieve})")
    assert [skip["name"] for skip in report["skipped"]] == ["badge", "code"]


def test_a_secret_that_no_placeholder_can_stand_for(two_shells: Any) -> None:
    """What makes its own text of it stays behind, and with it what needs that; the rest is saved."""
    report = two_shells.save(
        f"""
import random
password = {PASSWORD!r}
class Odd:
    def __reduce__(self): return (str, ("it is " + password,))
class Holder:
    odd = Odd()
class Told:
    "Says nothing."
holder, told, odd, rest = Holder(), Told(), Odd(), [1, 2]
Told.__doc__ = "Use " + password
"""
    )
    assert PASSWORD.encode() not in everything(two_shells.folder / ".nbsnap")
    assert PASSWORD not in json.dumps(report)
    told = {(skip["name"], skip["kind"]) for skip in report["skipped"]}
    assert told == {("password", "skipped"), ("odd", "skipped"), ("holder", "skipped"), ("Holder", "skipped"),
                    ("Told", "partly")}  # fmt: skip
    restored, wrong = two_shells.restore({"the rest": "rest == [1, 2] and type(told) is Told"})
    assert (restored["failed"], wrong) == ([], {})


@pytest.mark.kernel
def test_what_the_settings_allow_is_not_masked_in_the_text_of_a_function(kernel_pair: Any) -> None:
    """The same sieve is asked everywhere."""
    kernel = kernel_pair.start()
    kernel.run("%config NbSnap.not_secret = ['password']")
    kernel.run("def login(password='joshua-1'): return password")
    kernel.run("%snapshot")
    kernel = kernel_pair.restart()
    kernel.run("%restore")
    assert "'joshua-1'" in kernel.run("import inspect; print(inspect.getsource(login))").text


@pytest.mark.kernel
def test_a_notebook(kernel_pair: Any) -> None:
    """History, code, previews, HTML, diffs and output hold none; --rerun refuses what was masked, and says why."""
    kernel = kernel_pair.start()
    shown = [kernel.run(source).text for source in (f"token = {TOKEN!r}", f"%env MY_TOKEN={TOKEN}")][:1]
    kernel.run(f"db_password = {PASSWORD!r}\ndef f():\n    'text'\n    return 1")
    kernel.run("rows = (r for r in [1])")
    kernel.run("settings = {'password': db_password, 'host': 'h', 'note': 'use ' + token}; frame = {'a': [token]}")
    shown += [
        kernel.run(line).text
        for line in ("%snapshot one -m 'with " + TOKEN + "'", "%snapshots show -v", "%snapshots show --html page.html")
    ]
    assert "looks like a secret (a GitHub token); --include-secrets saves it" in shown[1]
    kernel.run("def f():\n    'other text'\n    return 2")
    shown += [kernel.run("%snapshots diff").text, kernel.run("%snapshot --explain token").text]
    assert "looks like a secret" in shown[-1]
    kernel = kernel_pair.restart()
    shown.append(kernel.run("%restore").text)
    assert "--rerun rows\n" in shown[-1]  # and not what cannot be run again
    assert 'looks like a secret; token = "•••"' in shown[-1]
    failed = kernel.run("token", ok=False).text
    assert "token, of type str, made in In [2], was not saved: looks like a secret (a GitHub token)" in failed
    assert 'token = "•••"' in failed
    rerun = kernel.run("%restore --rerun token rows").text
    assert "nbsnap: nothing was run: a secret that stood in In [2] was not kept" in rerun
    assert kernel.run("rows", ok=False).error == "NameError: name 'rows' is not defined"
    kernel.run("%restore --rerun rows")
    assert kernel.value("list(rows)") == [1]
    store = everything(kernel_pair.folder / ".nbsnap") + (kernel_pair.folder / "page.html").read_bytes()
    for secret in (TOKEN, PASSWORD):
        assert secret.encode() not in store
        assert not any(secret in text for text in [*shown, failed, rerun])


@pytest.mark.kernel
def test_rollback_and_restore_leave_the_live_secret(kernel_pair: Any) -> None:
    """Going back keeps the very objects that were not saved, and what holds them; so does --exact, and undo."""
    kernel = kernel_pair.start()
    kernel.run(f"token = {TOKEN!r}; config = {{'api_key': token, 'n': [1]}}; x = [1]; before = id(token), id(config)")
    said = kernel.run("%%snapshot --rollback\nx.append(2); del token; config['n'].append(2)\n1 / 0", ok=False).text
    assert "back to before it" in said
    assert kernel.value("(id(token), id(config)) == before, x, config['api_key'] is token") == (True, [1], True)
    kernel.run("%snapshot; ".strip("; "))
    kernel.run("x.append(3)")
    kernel.run("%restore --exact")
    assert kernel.value("id(token) == before[0], x") == (True, [1])
    kernel.run("%restore --undo")
    assert kernel.value("config['api_key'] is token, id(config) == before[1], x") == (True, True, [1, 3])


@pytest.mark.kernel
def test_a_secret_inside_is_kept_from_the_session(kernel_pair: Any) -> None:
    """What is replaced hands it over, at the very place, and the report says so; elsewhere the placeholder stays."""
    kernel = kernel_pair.start()
    kernel.run(
        f"token = {TOKEN!r}\nclass Client: pass\n"
        "client = Client(); client.password = 'hunter-2'; client.auths = [{'api_key': token}, 1]\n"
        "config = {'api_key': token, 'n': 1, 'client': client, 'pair': ('auth', 1)}; alias = config\n"
        "class Odd(dict):\n    def get(self, *_): 1 / 0\n    __getitem__ = __setitem__ = get\n"
        "odd = Odd(password='hunter-2')"
    )
    kernel.run("%snapshot")
    kernel.run("config['n'] = 2; client.auths.append(2); former = config")
    said = kernel.run("%restore").text
    assert "config['api_key']" in said
    assert "a secret, kept from the session" in said
    assert TOKEN not in said
    assert "not saved: config" not in said
    found = "config is alias, config is former, config['n'], config['api_key'] is former['api_key'], "
    found += "client.auths[0]['api_key'][:3], config['client'] is client, client.password, len(client.auths)"
    assert kernel.value(found) == (
        True, False, 1, True, "ghp", True, "hunter-2", 2,
    )  # fmt: skip
    assert kernel.value("dict.__getitem__(odd, 'password')") == "hunter-2"
    kernel = kernel_pair.restart()
    said = kernel.run("%restore").text
    assert "kept from the session" not in said
    assert "placeholder" in kernel.run("config['api_key']").text


def test_only_the_same_secret_is_kept_and_by_no_code_of_the_users(two_shells: Any) -> None:
    """What has moved or was changed since is not put in; a setter is not called, whatever it would say."""
    two_shells.run(
        f"""
import nbsnap
class Once:
    def __set_name__(self, owner, name): self.name = name
    def __get__(self, held, owner=None): return self if held is None else vars(held)[self.name]
    def __set__(self, held, value):
        if self.name in vars(held): raise ValueError("may be set once")
        vars(held)[self.name] = value
class Guarded:
    api_key = Once()
class Slotted:
    __slots__ = ("password", "n")
guarded, slotted = Guarded(), Slotted()
guarded.api_key, slotted.password, slotted.n = {PASSWORD!r}, {PASSWORD!r}, 1
users = [{{"name": "ann", "password": "first-1-first"}}, {{"name": "bob", "password": "second-2-second"}}]
rotated = {{"password": {PASSWORD!r}}}
nbsnap.snapshot(exclude=["nbsnap"])
users.sort(key=lambda user: user["name"], reverse=True)
rotated["password"] = "another-4-another"
report = nbsnap.restore()
assert guarded.api_key == slotted.password == {PASSWORD!r}, report
assert [skip.path for skip in report.not_saved] == [
    "users[0]['password']", "users[1]['password']", "rotated['password']"], report.not_saved
assert [user["name"] for user in users] == ["ann", "bob"]
assert not any(isinstance(user["password"], str) for user in users)
"""
    )


@pytest.mark.kernel
def test_settings_of_a_notebook_autosnapshots_and_background(kernel_pair: Any) -> None:
    """What is set holds for every way of saving."""
    kernel = kernel_pair.start()
    kernel.run("%config NbSnap.secret_names = ['badge']\n%config NbSnap.not_secret = ['api_key']")
    kernel.run(f"token = {TOKEN!r}; badge = 'blue-as-the-sky'; api_key = 'not-one-at-all'; x = [1]")
    kernel.run("report = get_ipython().run_line_magic('snapshot', '-q -o --background')")
    assert kernel.value("[skip.name for skip in report.skipped]") == ["token", "badge"]
    kernel.run("import nbsnap; nbsnap.wait()")
    store = everything(kernel_pair.folder / ".nbsnap")
    assert b"not-one-at-all" in store
    assert b"blue-as-the-sky" not in store
    assert TOKEN.encode() not in store
    assert "regular expression" in kernel.run("%config NbSnap.secret_values = ['(']", ok=False).text
    kernel.run("%config NbSnap.include_secrets = True")
    kernel.run("report = get_ipython().run_line_magic('snapshot', '-q -o')")
    assert kernel.value("report.skipped") == ()
    kernel.run("%snapshot --include-secrets")
