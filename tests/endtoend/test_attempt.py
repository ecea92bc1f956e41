"""`%%snapshot`: the cell runs as ever after its snapshot, a failure tells the way back, `--rollback` goes it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.kernel


class Ran(NamedTuple):
    """What a program that runs notebooks sees of a cell."""

    reply: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]]

    @property
    def status(self) -> str:
        return self.reply["status"]

    @property
    def order(self) -> list[str]:
        """What was shown, in order: text of streams and displays, "ERROR" for the error."""
        said = []
        for kind, content in self.messages:
            if kind == "stream":
                said.append(content["text"])
            elif kind in ("display_data", "execute_result"):
                said.append(content["data"]["text/plain"])
            elif kind == "error":
                said.append(f"ERROR {content['ename']}")
        return said

    @property
    def text(self) -> str:
        return "".join(self.order)

    @property
    def traceback(self) -> str:
        found = next(content["traceback"] for kind, content in self.messages if kind == "error")
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(found))


def execute(kernel, code: str, *, silent: bool = False, interrupt_at: str = "") -> Ran:
    """Run a cell as nbclient does, by the messages of the protocol."""
    client = kernel.client
    message = client.execute(code, silent=silent)
    got: list[tuple[str, dict[str, Any]]] = []
    while True:
        told = client.get_iopub_msg(timeout=60)
        if told["parent_header"].get("msg_id") != message:
            continue
        kind, content = told["msg_type"], told["content"]
        got.append((kind, content))
        if interrupt_at and kind == "stream" and interrupt_at in content["text"]:
            interrupt_at = ""
            time.sleep(0.3)
            kernel.interrupt()
        if kind == "status" and content["execution_state"] == "idle":
            break
    while True:
        reply = client.get_shell_msg(timeout=60)
        if reply["parent_header"].get("msg_id") == message:
            return Ran(reply["content"], got)


SESSION = """

data = [1, 2]
alias = data
rows = (i for i in range(3))
db = open("/dev/null")
config = {"lr": 1, "log": open("/dev/null")}
"""


def test_a_cell_that_fails_says_how_to_go_back(kernel_pair):
    """The snapshot, the error as usual, one line; the reply is an error, and the command in the line works."""
    kernel = kernel_pair.start()
    kernel.run("data = [1, 2]")
    ran = execute(kernel, "%%snapshot before\ndata.append(3)\nmore = 1\nraise KeyError('no')")
    assert (ran.status, ran.reply["ename"]) == ("error", "KeyError")
    assert ran.order[-2:] == [
        "ERROR KeyError",
        "nbsnap: the cell failed; %restore before --exact goes back to before it\n",
    ]
    assert "Snapshot before (" in ran.order[0]
    assert "nbsnap/" not in ran.traceback
    assert ran.traceback.count("line ") == 1
    assert "----> 4 raise KeyError('no')" in ran.traceback
    kernel.run("%restore before --exact")
    assert kernel.value("data, 'more' in globals()") == ([1, 2], False)
    ran = execute(kernel, "%%snapshot -q\n1/0")
    (line,) = [text for text in ran.order if text.startswith("nbsnap")]
    said = re.fullmatch(r"nbsnap: the cell failed; (%restore [0-9a-f]{7} --exact) goes back to before it\n", line)
    kernel.run(said[1])
    ran = execute(kernel, "%%snapshot some --only data\n1/0")
    assert "; %restore some goes back" in ran.text, "--exact would remove what was never to be saved"


def test_the_cell_is_a_cell_like_any_other(kernel_pair):
    """await, magics, displays, the value of the last line, history, line numbers, and where a variable was made."""
    kernel = kernel_pair.start()
    kernel.run("x = 1")
    ran = execute(
        kernel,
        "%%snapshot one\nimport asyncio\nawait asyncio.sleep(0.01)\nawaited = 'yes'\n%config NbSnap.notebook\n"
        "files = !echo hello\ndisplay('shown')\nmade = [3]\nmade[0] + 4",
    )
    assert ran.status == "ok"
    assert not any("nbsnap:" in text for text in ran.order)
    assert ran.order[-2:] == ["'shown'", "7"]
    assert kernel.value("_, awaited, files[0]") == (7, "yes", "hello")
    assert kernel.run("_ih[3].splitlines()[0], In[3].splitlines()[2]").result
    raw = kernel.value("get_ipython().history_manager.input_hist_raw[3]")
    assert raw.startswith("%%snapshot one\nimport asyncio")
    report = json.loads(kernel.run("r = %snapshot -o -q\nprint(r.to_json())").stdout)
    assert {v["name"]: (v["cell"], v["code"]) for v in report["variables"]}["made"] == (3, "made = [3]")
    ran = execute(kernel, "%%snapshot -q\n\n%%time\nmade.append(1)\nlen(made)")
    assert "Wall time" in ran.text
    assert ran.order[-1] == "2"
    ran = execute(kernel, "%%snapshot two\nx = (")
    assert ran.reply["ename"] in ("SyntaxError", "_IncompleteInputError")  # the latter from Python 3.13 on
    assert "two" not in ran.text.replace("%%snapshot two", ""), "nothing of it ran, the snapshot neither"
    assert "body is empty" in kernel.run("%%snapshot", ok=False).text


def test_options(kernel_pair):
    """-q and -o, and the combinations that make no sense, each with one line; the cell does not run then."""
    kernel = kernel_pair.start()
    ran = execute(kernel, "%%snapshot\nx = 1")
    assert ran.order == ["nbsnap: there is nothing to save yet, so there is no snapshot before this cell\n"]
    assert kernel.value("x") == 1
    assert execute(kernel, "%%snapshot -q\nx = 2").order == []
    ran = execute(kernel, "%%snapshot -q -o named\nx = 3\n5")
    assert len(ran.order) == 1
    assert re.fullmatch(r"(?s)Snapshot named \([0-9a-f]{7}\).*", ran.order[0]), ran.order
    assert kernel.value("x, _.name") == (3, "named")
    for wrong, said in [
        ("%%snapshot --dry-run\nx = 4", "no --dry-run before a cell"),
        ("%%snapshot --nonsense\nx = 4", "unrecognized arguments: --nonsense"),
        ("%%snapshot --only zzz\nx = 4", "no variable 'zzz'; there is 1 variable; the cell was not run"),
        ("%snapshot --rollback", "--rollback is for cells"),
    ]:
        ran = execute(kernel, wrong)
        assert ran.status == "error"
        assert said in ran.text, wrong
    assert kernel.value("x") == 3


def test_where_the_snapshot_fails_the_cell_does_not_run(kernel_pair, tmp_path):
    """Under --strict, in a store that cannot be written, or stopped by Ctrl-C."""
    kernel = kernel_pair.start()
    kernel.run("rows = (i for i in range(3)); x = 1")
    ran = execute(kernel, "%%snapshot --strict\nx = 2")
    assert ran.status == "error"
    assert ran.text.startswith("UsageError: nothing was saved, because of rows (generator)")
    assert ran.text.rstrip().endswith("; the cell was not run")
    (tmp_path / "file").write_text("")
    kernel.run(f"%config NbSnap.store = {str(tmp_path / 'file' / 'store')!r}")
    ran = execute(kernel, "%%snapshot\nx = 2")
    assert ran.status == "error"
    assert ran.text.rstrip().endswith("; the cell was not run")
    kernel.run("%config NbSnap.store = ''")
    kernel.run(
        "import time\nclass Slow:\n    def __reduce__(self):\n        print('saving', flush=True); time.sleep(60)\n"
        "slow = Slow()"
    )
    ran = execute(kernel, "%%snapshot\nx = 2", interrupt_at="saving")
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert "nothing was saved" in ran.text
    assert kernel.value("x") == 1


def test_rollback(kernel_pair):
    """All is as before the cell: mutated, rebound, deleted, added; what cannot be saved is the live object still."""
    kernel = kernel_pair.start()
    kernel.run("%config NbSnap.exclude = ['huge']")
    kernel.run(SESSION)
    kernel.run("import builtins; builtins.live = (rows, db, config); huge = object(); builtins.huge_one = huge")
    kernel.run("def total(): return sum(data)")
    ran = execute(
        kernel,
        "%%snapshot before --rollback\ndata.append(9)\nnext(rows)\nadded = 1\nconfig['lr'] = 2\ndel total\n"
        "raise ValueError('bad')",
    )
    assert (ran.status, ran.reply["ename"]) == ("error", "ValueError")
    assert ran.order[-2] == "ERROR ValueError"
    line = ran.order[-1]
    assert line.startswith("nbsnap: the cell failed; back to before it · 4 variables put back · removed: added"), line
    assert "rows" not in line, "it stands where it stood"
    assert "left as it is, as not all of it was saved: config" in line
    assert kernel.value("data, alias is data, total(), 'added' in globals()") == ([1, 2], True, 3, False)
    assert kernel.value("(rows, db, config) == live, config['lr'], huge is huge_one") == (True, 2, True)
    kernel.run("%restore --undo -q")
    assert kernel.value("data, alias is data, 'total' in globals(), added") == ([1, 2, 9], True, False, 1)
    kernel.run("%restore --undo -q")
    ran = execute(kernel, "%%snapshot -q --rollback\nrows = db = None\ndel config, huge\n1/0")
    assert "bound again to what was not saved: rows, db, config and huge" in ran.text
    assert kernel.value("(rows, db, config) == live, huge is huge_one, total()") == (True, True, 3)
    ran = execute(kernel, "%%snapshot -q --rollback\ndata.append(10)")
    assert ran.status == "ok"
    assert kernel.value("data") == [1, 2, 10], "a cell that succeeds is left alone"


def test_rollback_of_a_part_leaves_the_rest(kernel_pair):
    """With --only or --exclude: what was not saved stays, what the cell has added goes."""
    kernel = kernel_pair.start()
    kernel.run("a = [1]; b = [2]; c = [3]")
    for option in ("--only a", "--exclude b c"):
        execute(kernel, f"%%snapshot -q --rollback {option}\na.append(0); b.append(0); new = c\n1/0")
        assert kernel.value("a, b[0], c, 'new' in globals()") == ([1], 2, [3], False)


def test_rollback_when_nothing_was_saved(kernel_pair):
    """In the first cell of a notebook: what it had made goes."""
    kernel = kernel_pair.start()
    ran = execute(kernel, "%%snapshot --rollback\nx = 1\n1/0")
    assert ran.order[-1] == "nbsnap: the cell failed; back to before it · removed: x\n"
    assert kernel.value("'x' in globals()") is False


@pytest.mark.parametrize("body", ["import sys; data.append(1); sys.exit(3)", "data.append(1)\nraise SystemExit"])
def test_exit_in_a_cell(kernel_pair, body):
    """A cell that ends by SystemExit has failed, too."""
    kernel = kernel_pair.start()
    kernel.run("data = []")
    ran = execute(kernel, f"%%snapshot -q --rollback\n{body}")
    assert (ran.status, ran.reply["ename"]) == ("error", "SystemExit")
    assert kernel.value("data") == []


WAITS = {
    "sleeping": "import time; time.sleep(60)",
    "awaiting": "import asyncio\nfor _ in range(600): await asyncio.sleep(0.1)",  # ipykernel looks when it wakes
}


@pytest.mark.parametrize("how", WAITS)
def test_ctrl_c_in_the_cell(kernel_pair, how):
    """Stopped by the user: the way back is told, or gone; also in a cell that awaits."""
    body = f"data.append(1)\nprint('now')\n{WAITS[how]}"
    kernel = kernel_pair.start()
    kernel.run("data = []")
    ran = execute(kernel, f"%%snapshot mine -q\n{body}", interrupt_at="now")
    assert ran.status == "error"
    assert "nbsnap: the cell failed; %restore mine --exact goes back to before it" in ran.text
    assert kernel.value("data") == [1]
    ran = execute(kernel, f"%%snapshot -q --rollback\n{body}", interrupt_at="now")
    assert ran.status == "error"
    assert kernel.value("data") == [1], "as it was before"


def test_ctrl_c_while_going_back(kernel_pair):
    """Nothing is put back by half, and the line says what to type."""
    kernel = kernel_pair.start()
    kernel.run(
        "import time; nap = 0\nclass Slow:\n    def __setstate__(self, state):\n"
        "        print('loading', flush=True); time.sleep(nap)\n    def __getstate__(self): return {'v': 1}\n"
        "slow = Slow(); data = [1]"
    )
    ran = execute(
        kernel, "%%snapshot good -q --rollback --exclude nap\nnap = 60; data.append(2)\n1/0", interrupt_at="loading"
    )
    assert ran.reply["ename"] == "ZeroDivisionError"
    assert (
        ran.order[-1]
        == "nbsnap: the cell failed, and going back was interrupted; %restore good goes back to before it\n"
    )
    assert kernel.value("data") == [1, 2]
    kernel.run("nap = 0")
    kernel.run("%restore good")
    assert kernel.value("data") == [1]


def test_a_snapshot_in_the_background_before_the_cell(kernel_pair):
    """The cell runs while it is being written; a rollback waits for it."""
    kernel = kernel_pair.start()
    kernel.run("import numpy as np; big = np.random.default_rng(0).random(5_000_000); first = float(big[0])")
    ran = execute(kernel, "%%snapshot --background --rollback\nbig *= 2\nassert False")
    assert ran.status == "error"
    assert "3 variables put back" in ran.text
    assert kernel.value("float(big[0]) == first") is True
    ran = execute(kernel, "%%snapshot --background\nassert False")
    assert re.search(r"nbsnap: the cell failed; %restore [0-9a-f]{7} --exact goes back to before it", ran.text)


def test_a_cell_that_runs_silently(kernel_pair):
    """Programs run cells without history and displays; a rollback happens there as well."""
    kernel = kernel_pair.start()
    kernel.run("data = [1]")
    ran = execute(kernel, "%%snapshot -q --rollback\ndata.append(2)\n1/0", silent=True)
    assert ran.status == "error"
    assert kernel.value("data") == [1]
    assert execute(kernel, "%%snapshot -q --rollback\ndata.append(2)", silent=True).status == "ok"
    assert execute(kernel, "1/0").text.count("nbsnap") == 0, "over is over"
    assert kernel.value("data") == [1, 2]


def test_cells_within_the_cell(kernel_pair):
    """What the cell runs by run_cell, and fails there, is the cell's own business, until the cell fails itself."""
    kernel = kernel_pair.start()
    kernel.run("data = [1]")
    ran = execute(kernel, "%%snapshot -q --rollback\ndata.append(2)\nget_ipython().run_cell('1/0')\ndata.append(3)")
    assert ran.status == "ok"
    assert "nbsnap" not in ran.text
    assert kernel.value("data") == [1, 2, 3]
    ran = execute(kernel, "%%snapshot -q --rollback\ndata.append(4)\nget_ipython().run_cell('ok = 1')\n1/0")
    assert "back to before it" in ran.text
    assert kernel.value("data") == [1, 2, 3]
    ran = execute(kernel, "get_ipython().run_cell_magic('snapshot', '-q --rollback', 'data.append(5); 1/0')")
    assert ran.status == "error"
    assert kernel.value("data") == [1, 2, 3]
    ran = execute(kernel, "%%snapshot -q --rollback\nfrom __future__ import annotations\ndata.append(5)\n1/0")
    assert ran.status == "error"
    assert kernel.value("data") == [1, 2, 3]


def test_in_a_terminal(own_folder: Path):
    """Typed at IPython's prompt: a cell ends with blank lines; error, line and rollback as in a notebook."""
    pexpect = pytest.importorskip("pexpect")
    import sys

    child = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", "--ext=nbsnap"],
        cwd=str(own_folder), encoding="utf-8", timeout=60, dimensions=(50, 160), echo=False,
    )  # fmt: skip
    try:
        prompt = r"(?:^|\n)In \[\d+\]: "
        child.expect(prompt)

        def typed(*lines: str) -> str:
            for line in lines:
                child.sendline(line)
            child.expect(prompt)
            return child.before.replace("\r", "")

        typed("data = [1]")
        said = typed("%%snapshot before", "data.append(2)", "1/0", "", "")
        assert "Snapshot before (" in said
        assert re.search(
            r"ZeroDivisionError: division by zero\n+nbsnap: the cell failed; %restore before --exact", said
        )
        assert "[1, 2]" in typed("print(data)")
        said = typed("%%snapshot --rollback", "data.append(3)", "1/0", "", "")
        assert re.search(r"division by zero\n+nbsnap: the cell failed; back to before it · 1 variable put back", said)
        assert "[1, 2]" in typed("print(data)")
        assert "Took back" in typed("%restore --undo")
        assert "[1, 2, 3]" in typed("print(data)")
        child.sendline("%%snapshot --rollback")
        child.sendline("import time; data.append(4); print('n' + 'ow'); time.sleep(60)")
        child.sendline("")
        child.sendline("")
        child.expect("now")
        time.sleep(0.3)
        child.sendintr()
        child.expect("back to before it")
        child.expect(prompt)
        assert "[1, 2, 3]" in typed("print(data)")
    finally:
        child.close(force=True)
