"""A bucket as users meet it: magics in real kernels, the command line, settings, the recipes of docs/elsewhere.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cloud.clouds import Proxy, Server
from storage.making import noise, save

from nbsnap.errors import NbSnapError, StoreError
from nbsnap.places import backend_at
from nbsnap.store import Store

DOCS = Path(__file__).parents[2] / "docs" / "elsewhere.md"


def line(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "nbsnap", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=60, check=False
    )


def section() -> str:
    """What the docs say about buckets."""
    return DOCS.read_text().partition("\n## A bucket\n")[2].partition("\n## ")[0]


def blocks() -> list[str]:
    """The Python of the section about buckets."""
    return re.findall(r"```python\n(.*?)```", section(), re.S)


@pytest.mark.kernel
@pytest.mark.usefixtures("s3")
def test_the_recipe_of_a_bucket(server: Server, kernel_pair: Any) -> None:
    """Saved in one kernel, restored in another one that has never seen it, as it stands in the docs."""
    server.bucket("my-bucket")
    saving, restoring, _ = blocks()
    first = kernel_pair.start(load=False)
    assert "before-train" in first.run(saving).text
    second = kernel_pair.restart(load=False)
    assert "Restored before-train" in second.run(restoring).text
    assert second.value("table == {'rows': list(range(1000))}") is True
    assert "before-train" in second.run("%snapshots list").text
    listed = line("list", "--store", "s3://my-bucket/snapshots")
    assert listed.returncode == 0
    assert "before-train" in listed.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is written in the background elsewhere")
def test_the_recipe_of_a_cluster(s3: str, two_shells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is started again goes on where it was."""
    monkeypatch.setenv("NBSNAP_STORE", s3)
    job = blocks()[2]
    early = job.replace(
        "        nbsnap.snapshot(", "        if step == 30: raise SystemExit(7)\n        nbsnap.snapshot("
    )
    assert two_shells.run(early, ok=False).code == 7
    until = time.monotonic() + 30
    while len(Store.open(s3).entries()) < 2 and time.monotonic() < until:  # what was on its way arrives
        time.sleep(0.1)
    done = two_shells.run(job.replace("except nbsnap.SnapshotNotFound:\n    pass", "finally:\n    print(step)"))
    assert done.out.split() == ["20", "40", "40"]


def test_the_command_line(s3: str) -> None:
    """list, show, diff, check, prune and delete take a URL, by the option or by the environment."""
    with Store.open(s3, create=True):
        pass
    program = "import nbsnap, sys; x = [1]; nbsnap.snapshot(name=sys.argv[1], notebook='n', beside=())"
    for name in ("one", "two"):
        code = program.replace("x = [1]", f"x = [{name!r}]")
        subprocess.run(
            [sys.executable, "-c", code, name], env={**os.environ, "NBSNAP_STORE": s3}, check=True, timeout=60
        )
    told = json.loads(line("list", "--json", "--store", s3).stdout)
    assert told["store"] == s3
    assert [head["name"] for head in told["snapshots"]] == ["one", "two"]
    env = {"NBSNAP_STORE": s3}
    for words in (("show", "one"), ("diff", "one", "two"), ("delete", "one"), ("check",)):
        done = line(*words, env=env)
        assert done.returncode == 0, done.stderr
    none = line("list", "--store", f"{s3}-none")
    assert none.returncode == 4
    assert none.stderr == f"nbsnap: there is no store at {s3}-none\n"


def test_repairing_a_bucket(s3: str, server: Server) -> None:
    """An altered pack, a cut index and a lost store.json: what is sound is kept, as in a folder."""
    with Store.open(s3, create=True) as store:
        state = {"a": noise(2_000_000, 1), "b": noise(1_500_000, 2)}
        save(store, state, "one")
        (pack,) = [name for name in store.backend.list("packs") if name.endswith(".pack")]
    path = f"{s3.removeprefix('s3:/')}"
    data = bytearray(server.ask("GET", f"{path}/{pack}"))
    data[3_000_000] ^= 1
    server.ask("PUT", f"{path}/{pack}", bytes(data))
    server.ask("PUT", f"{path}/{pack.removesuffix('pack')}index", b"cut")
    server.ask("DELETE", f"{path}/store.json")
    assert line("check", "--store", s3).returncode == 6
    done = line("check", "--repair", "--store", s3)
    assert done.returncode == 6
    assert "b" in done.stdout
    with Store.open(s3) as store:
        snapshot = store.find("one", None)
        assert bytes(store.read(snapshot.groups[0].buffers[0])) == state["a"]
        assert [name.split("/")[0] for name in store.backend.list("packs")] == ["packs", "packs"]


def test_verified_by_a_fresh_process(s3: str) -> None:
    """`--verify` restores from the bucket."""
    import nbsnap

    report = nbsnap.snapshot({"x": [1, 2]}, store=s3, notebook="n", beside=(), verify=True)
    assert report.verified is not None
    assert report.verified.ok


def test_without_the_extra(tmp_path: Path) -> None:
    """One line says what to install; everything else works, and obstore is not imported for it."""
    (tmp_path / "obstore.py").write_text("raise ImportError('not installed')")
    done = line("list", "--store", "s3://bucket/prefix", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 4
    assert done.stderr == "nbsnap: a bucket as a store needs obstore: pip install 'nbsnap[cloud]'\n"
    code = "import nbsnap, sys; nbsnap.snapshot({'x': 1}); nbsnap.Store('memory://a', create=True); import nbsnap.cli\n"
    code += "assert not {'obstore', 'asyncio', 'nbsnap.remote', 'nbsnap.bucket'} & set(sys.modules) - {'asyncio'}"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_places(tmp_path: Path) -> None:
    """What a place means, and what makes no sense as one."""
    assert backend_at(f"file://{tmp_path}/a%20b").place == str(tmp_path / "a b")
    assert backend_at("memory://one") is backend_at("memory://one")
    assert backend_at("memory://one") is not backend_at("memory://two")
    assert backend_at("s3://bucket//a/b/").place == "s3://bucket/a/b"
    for place in (
        "s3://",
        "s3:///x",
        "s3://buc ket",
        "s3://bucket/../x",
        "ftp://host/x",
        "https://host/x",
        "file://host/x",
    ):
        with pytest.raises(StoreError):
            backend_at(place)


PROFILES = {
    "plain": ("[work]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = T\n", ""),
    "in the other file": ("", "[profile work]\naws_access_key_id = A\naws_secret_access_key = B\nregion = eu-west-1\n"),
}


@pytest.mark.parametrize("kind", PROFILES)
def test_keys_of_a_profile(s3: str, proxy: Proxy, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are read from the files of Amazon's tools, and a profile that signs in says what it needs."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    keys, config = PROFILES[kind]
    (tmp_path / "credentials").write_text(keys)
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    Store.open(s3, create=True).close()
    assert proxy.counts["PUT"]


def test_a_profile_that_signs_in_needs_boto3(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the profile and the ways out."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (tmp_path / "config").write_text("[profile work]\nsso_session = x\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", None)
    with pytest.raises(NbSnapError, match=r"the profile work gets its keys by sso_session, which needs boto3"):
        Store.open(s3)


def test_the_setting_of_the_cache() -> None:
    """`cache_size` is a size, and nonsense is refused when it is set."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import TraitError

    from nbsnap import cache
    from nbsnap.magics.shell import NbSnap

    settings = NbSnap(InteractiveShell())
    try:
        settings.cache_size = "2 GB"
        assert cache.limit() == 2_000_000_000
        settings.cache_size = "0"
        assert cache.limit() == 0
        with pytest.raises(TraitError, match="cache_size"):
            settings.cache_size = "lots"
    finally:
        settings.cache_size = ""
    assert cache.limit() == 4_000_000_000
