"""Fetch a source distribution with pip's own machinery, and take files out of it.

    python tests/endtoend/sdists.py FOLDER NAME==VERSION    fetch one into a folder, and print its path

`pip download` runs a project's build to learn what it depends on. Nothing of the kind is wanted here, so pip is asked
for no more than the link that it would choose, and for the file behind it: from the index, the mirror or the proxy that
its configuration names. That part of pip has no public face; it runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def fetch(requirement: str, folder: Path) -> Path:
    """Return the path of a source distribution in a folder; it is fetched if it is not there."""
    name, _, version = requirement.partition("==")
    for kept in sorted(folder.glob("*")):
        if kept.name.lower().replace("_", "-").startswith(f"{name.lower()}-{version}."):
            return kept
    program = [sys.executable, "-W", "ignore", __file__, str(folder), requirement]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise OSError(f"{requirement} could not be fetched:\n{done.stdout}{done.stderr}")
    return Path(done.stdout.splitlines()[-1])


def read(archive: Path, inner: str) -> str:
    """Return the text of a file in a source distribution, by its path below the top folder."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as files:
            (path,) = (name for name in files.namelist() if name.partition("/")[2] == inner)
            return files.read(path).decode("utf-8")
    with tarfile.open(archive) as files:
        (member,) = (one for one in files if one.name.partition("/")[2] == inner)
        held = files.extractfile(member)
        assert held is not None
        return held.read().decode("utf-8")


def _main(folder: str, requirement: str) -> None:
    import os
    import tempfile

    from pip._internal.commands import create_command
    from pip._internal.network.download import Downloader
    from pip._internal.req.constructors import install_req_from_line

    command = create_command("download")
    options, _ = command.parse_args(["--no-deps", "--no-binary", ":all:", requirement])
    with command.main_context(), tempfile.TemporaryDirectory(dir=folder) as fresh:
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        wanted = install_req_from_line(requirement)
        best = finder.find_best_candidate(wanted.name, wanted.specifier).best_candidate
        if best is None:
            raise SystemExit(f"{requirement}: no source distribution found")
        try:
            path, _ = Downloader(session, "off")(best.link, fresh)
        except TypeError:  # pip 25 and later: the resuming downloader takes three
            path, _ = Downloader(session, "off", 3)(best.link, fresh)
        kept = Path(folder) / Path(path).name
        os.replace(path, kept)  # whole or not at all, also with two test processes at it
    print(kept)


if __name__ == "__main__":
    _main(*sys.argv[1:])
