"""A real Jupyter kernel as a Python object: start it, run cells in it, interrupt it, kill it.

The kernel is a process of its own (`python -m ipykernel_launcher`), as every front end starts it, so what holds here
holds in a notebook. It picks its own ports and writes them into a connection file; no kernelspec is needed, and
nothing outside the given folders is read or written. `examples/run.py` and the tests drive kernels with it.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

START_SECONDS = 90.0  # a cold start on a busy machine


class CellError(AssertionError):
    """A cell raised, and the caller did not expect it."""


@dataclass
class Output:
    """What one cell gave back: streams, displayed data, its value, its error."""

    stdout: str = ""
    stderr: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)  # mime bundles, the value of the cell included
    updates: list[dict[str, Any]] = field(default_factory=list)  # what displays were changed to, in order
    result: str | None = None  # text of the cell's value, as after Out[n]:
    error: str | None = None  # "NameError: name 'x' is not defined"
    traceback: str = ""
    count: int = 0
    order: list[str] = field(default_factory=list)  # what a reader sees, top to bottom, as text

    @property
    def text(self) -> str:
        """Everything readable that the cell showed."""
        return "".join(self.order)

    @property
    def images(self) -> list[bytes]:
        """The PNG pictures that the cell showed, in order."""
        return [b64decode(bundle["image/png"]) for bundle in self.displays if "image/png" in bundle]


class Kernel:
    """One ipykernel in a process of its own. As a context manager it is ended on leaving, however that happens."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        notebook: str | None = None,
        env: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        """Start a kernel in `folder`; `notebook` is what jupyter_server would tell it as its notebook's path."""
        self.scratch = Path(tempfile.mkdtemp(prefix="kernel-"))
        connection = self.scratch / "connection.json"
        environment = {**os.environ, **(env or {}), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        environment.pop("JPY_SESSION_NAME", None)
        if notebook is not None:
            environment["JPY_SESSION_NAME"] = notebook
        self.log = (self.scratch / "kernel.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ipykernel_launcher", "-f", str(connection), *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.client: BlockingKernelClient | None = None
        try:
            self._connect(connection)
        except BaseException:
            self.close()
            raise

    def _connect(self, connection: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the kernel did not start:\n{self._log_text()}")
            with contextlib.suppress(OSError, ValueError):
                if json.loads(connection.read_text()).get("shell_port"):
                    break
            if time.monotonic() > deadline:
                raise TimeoutError(f"no connection file after {START_SECONDS:.0f} s:\n{self._log_text()}")
            time.sleep(0.02)
        self.client = BlockingKernelClient(connection_file=str(connection))
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=max(1.0, deadline - time.monotonic()))

    def _log_text(self) -> str:
        return (self.scratch / "kernel.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id of the kernel."""
        return self.process.pid

    def send(self, code: str, *, store_history: bool = True) -> str:
        """Send a cell without waiting for it; `collect` waits."""
        assert self.client is not None
        return self.client.execute(code, store_history=store_history)

    def wait_started(self, message: str, *, timeout: float = 60.0) -> None:
        """Wait until the kernel says that it runs the cell that `send` sent."""
        assert self.client is not None
        while True:
            reply = self.client.get_iopub_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == message and reply["msg_type"] == "execute_input":
                return

    def collect(self, message: str, *, timeout: float = 120.0) -> Output:
        """Wait for the cell that `send` sent, and return what it gave."""
        assert self.client is not None
        output = Output()
        deadline = time.monotonic() + timeout
        idle = False
        while not idle:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the cell did not end in {timeout:.0f} s; so far:\n{output.text}")
            try:
                reply = self.client.get_iopub_msg(timeout=min(left, 1.0))
            except Exception:  # queue.Empty: nothing yet. A dead kernel never answers.
                if self.process.poll() is not None:
                    raise RuntimeError(f"the kernel died with {self.process.returncode}") from None
                continue
            if reply["parent_header"].get("msg_id") != message:
                continue
            idle = self._take(reply["msg_type"], reply["content"], output)
        self.client.get_shell_msg(timeout=timeout)
        return output

    @staticmethod
    def _take(kind: str, content: dict[str, Any], output: Output) -> bool:
        """Add one message to the output; True when it is the last."""
        if kind == "stream":
            if content["name"] == "stdout":
                output.stdout += content["text"]
            else:
                output.stderr += content["text"]
            output.order.append(content["text"])
        elif kind in ("display_data", "execute_result"):
            output.displays.append(content["data"])
            text = content["data"].get("text/plain", "")
            output.order.append(text + "\n")
            if kind == "execute_result":
                output.result = text
        elif kind == "update_display_data":
            output.updates.append(content["data"])
        elif kind == "execute_input":
            output.count = content["execution_count"]
        elif kind == "error":
            output.error = f"{content['ename']}: {content['evalue']}"
            output.traceback = "\n".join(content["traceback"])
        return kind == "status" and content["execution_state"] == "idle"

    def run(self, code: str, *, ok: bool = True, timeout: float = 120.0) -> Output:
        """Run a cell and return what it gave; raise `CellError` when it raised, unless `ok` is False."""
        output = self.collect(self.send(code), timeout=timeout)
        if ok and output.error:
            raise CellError(f"{output.error}\nin the cell\n{code}\n{output.traceback}\n{output.text}")
        return output

    def value(self, expression: str) -> Any:
        """The value of an expression of literals (numbers, strings, tuples, lists, dicts)."""
        return ast.literal_eval(self.run(f"print(repr(({expression})))").stdout)

    def interrupt(self) -> None:
        """Ctrl-C, as the front end's stop button sends it."""
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL: the end that no process can prepare for."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def close(self) -> None:
        """End the kernel, close every channel and file, and remove the scratch folder. Harmless when done twice."""
        self.kill()
        if self.client is not None:
            self.client.stop_channels()
            self.client.context.destroy(linger=0)
            self.client = None
        self.log.close()
        for file in self.scratch.iterdir() if self.scratch.exists() else ():
            file.unlink()
        if self.scratch.exists():
            self.scratch.rmdir()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
