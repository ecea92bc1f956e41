"""JupyterLab as a person uses it: a real server, a real page in a headless Chromium, the keyboard and the menus."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

import nbformat
from playwright.sync_api import Locator, Page, sync_playwright

#: Where systems put it; `dev.py` installs it where it may.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Lab:
    """A notebook of `cells`, open in JupyterLab. A context manager; everything ends with it."""

    def __init__(self, folder: Path, cells: Sequence[str], *, name: str = "work.ipynb", theme: str = "light") -> None:
        self.folder = folder
        self.path = folder / name
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, self.path)
        self.theme = theme
        self.token = secrets.token_hex(16)
        self.count = 0  # of the kernel's cells

    def __enter__(self) -> Lab:
        settings = self.folder / "lab-settings"
        themes = settings / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
        themes.parent.mkdir(parents=True)
        name = "JupyterLab Dark" if self.theme == "dark" else "JupyterLab Light"
        themes.write_text(json.dumps({"theme": name}))
        notes = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        notes.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        self.log = open(self.folder / "lab.log", "w+", encoding="utf-8")
        self.server = subprocess.Popen(
            [
                sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", "--port-retries=0",
                f"--IdentityProvider.token={self.token}", f"--notebook-dir={self.folder}",
                "--LabApp.extension_manager=readonly", "--LabApp.news_url=None",
            ],
            cwd=self.folder, stdout=self.log, stderr=subprocess.STDOUT,
            env=self._environment(settings),
        )  # fmt: skip
        self.url = self._url()
        self.playwright = sync_playwright().start()
        self.browser = self.playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        self.page: Page = self.browser.new_page(viewport={"width": 1180, "height": 900}, device_scale_factor=1.5)
        self.page.goto(f"{self.url}lab/tree/{self.path.name}?token={self.token}&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        self.page.keyboard.press("Control+b")  # the file browser away
        self._connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.shot("failed")
        self.browser.close()
        self.playwright.stop()
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
        self.log.close()

    def _environment(self, settings: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}  # kernels draw inline
        places = {"JUPYTERLAB_SETTINGS_DIR": settings, "JUPYTERLAB_WORKSPACES_DIR": self.folder / "workspaces"}
        return kept | {name: str(place) for name, place in places.items()}

    def _url(self) -> str:
        """Return where the server listens, once it answers."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            for line in (self.folder / "lab.log").read_text(encoding="utf-8").splitlines():
                if "http://127.0.0.1:" in line or "http://localhost:" in line:
                    url = line[line.index("http://") :].split("/lab")[0].split("?")[0].strip() + "/"
                    try:
                        with urlopen(f"{url}api?token={self.token}", timeout=5):
                            return url
                    except OSError:
                        break
            time.sleep(0.2)
        raise AssertionError((self.folder / "lab.log").read_text(encoding="utf-8"))

    def _connected(self) -> None:
        """Wait until the page and its kernel know each other: what is run before is forgotten."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                with urlopen(f"{self.url}api/kernels?token={self.token}", timeout=10) as answer:
                    kernels = json.load(answer)
            except OSError:  # while it starts a kernel, the server answers with errors at times
                kernels = []
            if any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels):
                time.sleep(1)
                return
            time.sleep(0.2)
        raise AssertionError("no kernel")

    # --- what a person does --------------------------------------------------------------------------------------

    def cell(self, number: int) -> Locator:
        """Return the cell of that number, from 0."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def run(self, number: int, *, timeout: float = 90.0) -> Locator:
        """Run a cell with Shift+Enter, wait for its end, and return what stands below it."""
        self.start(number)
        return self.ended(number, timeout=timeout)

    def start(self, number: int) -> Locator:
        """Run a cell with Shift+Enter, and return what comes to stand below it."""
        cell = self.cell(number)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        self.count += 1
        return cell.locator(".jp-OutputArea")

    def ended(self, number: int, *, timeout: float = 90.0) -> Locator:
        """Wait for the end of the cell that was started, and return what stands below it."""
        cell = self.cell(number)
        end = time.monotonic() + timeout
        time.sleep(0.5)  # a prompt from before a restart may have the same number
        while time.monotonic() < end:
            if cell.locator(".jp-InputPrompt").inner_text().strip() == f"[{self.count}]:":
                return cell.locator(".jp-OutputArea")
            time.sleep(0.05)
        raise AssertionError(f"cell {number} did not end: {cell.inner_text()}")

    def restart(self) -> None:
        """Restart the kernel from the menu, and say yes."""
        self.page.locator(".lm-MenuBar-item", has_text="Kernel").click()
        self.page.locator(".lm-Menu-item", has_text="Restart Kernel…").first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        time.sleep(1)
        self._connected()
        self.count = 0

    def shot(self, name: str) -> Path:
        """Take a picture of the notebook."""
        pictures = Path(os.environ.get("NBSNAP_PICTURES") or self.folder)
        pictures.mkdir(parents=True, exist_ok=True)
        path = pictures / f"{name}.png"
        self.page.locator(".jp-NotebookPanel").screenshot(path=path)
        return path


def text_of(output: Any) -> str:
    """Return the text that an output shows."""
    return str(output.inner_text())
