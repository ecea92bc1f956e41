"""A disk that is slow, full or broken, as told: a file system in memory, by FUSE, with nothing but Python.

    python disk.py FOLDER FAULTS PROGRAM…

mounts it on FOLDER, runs the program, takes it away, and ends with the program's exit code. FAULTS is a JSON file that
is read again whenever something is to be done, so that the program can change it:

    {"write": 0.1}      every write waits so many seconds for each MiB, "fsync": every flush
    {"room": 1000000}   no more than so many bytes in all files: ENOSPC
    {"broken": true}    every write and flush fails with EIO
    {"lost": true}      nobody answers any more: everything fails with ENOTCONN, as where a mount was lost

Needs /dev/fuse and the right to mount: as root, or in a namespace (`unshare -rm`)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ATTR = struct.Struct("<6Q10I")
HEAD, ANSWER = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
KEPT = 1  # seconds for which the kernel may keep what it was told

(LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT,
 OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, CREATE, INTERRUPT, BATCH_FORGET, RENAME2) = (
    1, 2, 3, 4, 9, 10, 11, 12, 14, 15, 16, 17, 18, 20, 25, 26, 27, 28, 29, 30, 35, 36, 42, 45)  # fmt: skip


@dataclass
class Node:
    """A file or a folder."""

    mode: int
    data: bytearray = field(default_factory=bytearray)
    inside: dict[bytes, int] = field(default_factory=dict)
    changed: float = field(default_factory=time.time)
    named: bool = True  # else it is gone as soon as nobody has it open


class Disk:
    """The files, and what is answered to the kernel."""

    def __init__(self, faults: Path) -> None:
        self.nodes = {1: Node(stat.S_IFDIR | 0o700)}
        self.last = 1
        self.faults = faults

    def attributes(self, number: int) -> bytes:
        node = self.nodes[number]
        size, seconds = len(node.data), int(node.changed)
        nanos = int(node.changed % 1 * 1e9)
        return ATTR.pack(
            number, size, -(-size // 512), seconds, seconds, seconds, nanos, nanos, nanos, node.mode, 1, os.getuid(),
            os.getgid(), 0, 4096, 0,
        )  # fmt: skip

    def entry(self, number: int) -> bytes:
        return struct.pack("<4Q2I", number, 1, KEPT, KEPT, 0, 0) + self.attributes(number)

    def make(self, folder: int, name: bytes, mode: int) -> int:
        self.last += 1
        self.nodes[self.last] = Node(mode)
        self.nodes[folder].inside[name] = self.last
        return self.last

    def told(self) -> dict[str, float]:
        faults: dict[str, float] = json.loads(self.faults.read_text() or "{}")
        return faults

    def wait(self, what: str, times: float = 1.0) -> None:
        """Be as slow, as full and as broken as it is told."""
        faults = self.told()
        if faults.get("broken") and what in ("write", "fsync"):
            raise OSError(errno.EIO, "")
        held = sum(len(node.data) for node in self.nodes.values())
        if what == "write" and held + times * (1 << 20) > faults.get("room", 1 << 60):
            raise OSError(errno.ENOSPC, "")
        time.sleep(faults.get(what, 0.0) * times)

    def answer(self, call: int, number: int, data: bytes) -> bytes | None:
        """Do what is asked; return the answer, None where none is expected, or raise OSError."""
        node = self.nodes.get(number)
        if call not in (FORGET, BATCH_FORGET, INTERRUPT, INIT, RELEASE, RELEASEDIR) and self.told().get("lost"):
            raise OSError(errno.ENOTCONN, "")
        if call in (FORGET, BATCH_FORGET, INTERRUPT):
            if call == FORGET and node is not None and not node.named:
                del self.nodes[number]
            return None
        if call == INIT:
            flags = 1 << 5 | 1 << 22  # big writes
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 1 << 17, flags, 12, 9, 1 << 20, 1, 256, 0, 0)
        if call == STATFS:
            return struct.pack("<5Q4I24x", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, 0)
        if node is None:
            raise OSError(errno.ENOENT, "")
        if call == LOOKUP:
            return self.entry(self.find(node, data.rstrip(b"\0")))
        if call in (GETATTR, SETATTR):
            if call == SETATTR:
                self.change(node, data)
            return struct.pack("<QII", KEPT, 0, 0) + self.attributes(number)
        if call in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if call in (RELEASE, RELEASEDIR, FLUSH):
            return b""
        if call in (FSYNC, FSYNCDIR):
            self.wait("fsync")
            return b""
        if call == READ:
            offset, size = struct.unpack_from("<QI", data, 8)
            return bytes(node.data[offset : offset + size])
        if call == WRITE:
            return self.write(node, *struct.unpack_from("<QI", data, 8), data[40:])
        if call == MKDIR:
            mode = struct.unpack_from("<I", data)[0]
            return self.entry(self.make(number, data[8:].rstrip(b"\0"), stat.S_IFDIR | mode & 0o777))
        if call == CREATE:
            mode = struct.unpack_from("<I", data, 4)[0]
            made = self.make(number, data[16:].rstrip(b"\0"), stat.S_IFREG | mode & 0o777)
            return self.entry(made) + struct.pack("<QII", 0, 0, 0)
        if call in (UNLINK, RMDIR):
            name = data.rstrip(b"\0")
            if call == RMDIR and self.nodes[self.find(node, name)].inside:
                raise OSError(errno.ENOTEMPTY, "")
            self.nodes[node.inside.pop(name)].named = False
            return b""
        if call in (RENAME, RENAME2):
            old, new = data[8 if call == RENAME else 16 :].split(b"\0")[:2]
            target = self.nodes[struct.unpack_from("<Q", data)[0]].inside
            if new in target:
                self.nodes[target[new]].named = False
            target[new] = node.inside.pop(old)
            return b""
        if call == READDIR:
            return self.listing(node, *struct.unpack_from("<QI", data, 8))
        raise OSError(errno.ENOSYS, "")

    def find(self, node: Node, name: bytes) -> int:
        if name not in node.inside:
            raise OSError(errno.ENOENT, "")
        return node.inside[name]

    def change(self, node: Node, data: bytes) -> None:
        (valid,) = struct.unpack_from("<I", data)
        if valid & 1:
            node.mode = stat.S_IFMT(node.mode) | struct.unpack_from("<I", data, 68)[0] & 0o7777
        if valid & 8:
            size = struct.unpack_from("<Q", data, 16)[0]
            node.data[size:] = bytes(max(0, size - len(node.data)))

    def write(self, node: Node, offset: int, size: int, data: bytes) -> bytes:
        self.wait("write", size / (1 << 20))
        node.data[len(node.data) :] = bytes(max(0, offset - len(node.data)))
        node.data[offset : offset + size] = data
        node.changed = time.time()
        return struct.pack("<II", size, 0)

    def listing(self, node: Node, offset: int, size: int) -> bytes:
        out = b""
        for place, (name, number) in enumerate(list(node.inside.items())[offset:], offset + 1):
            kind = self.nodes[number].mode >> 12
            one = struct.pack("<QQII", number, place, len(name), kind) + name
            one += bytes(-len(one) % 8)
            if len(out) + len(one) > size:
                break
            out += one
        return out

    def serve(self, fd: int) -> None:
        """Take one call from the kernel and answer it."""
        message = os.read(fd, (1 << 20) + (1 << 16))
        length, call, unique, number, *_ = HEAD.unpack_from(message)
        try:
            data, problem = self.answer(call, number, message[HEAD.size : length]), 0
        except OSError as error:
            data, problem = b"", error.errno or errno.EIO
        if data is not None:
            with contextlib.suppress(FileNotFoundError):  # who asked has been killed
                os.write(fd, ANSWER.pack(ANSWER.size + len(data), -problem, unique) + data)


@contextlib.contextmanager
def mounted(folder: str) -> Iterator[int]:
    """Mount something on a folder; yield the file by which the kernel asks what it is."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/dev/fuse", os.O_RDWR)
    how = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if libc.mount(b"nbsnap-disk", os.fsencode(folder), b"fuse", 0, how.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    try:
        yield fd
    finally:
        libc.umount2(os.fsencode(folder), 2)


def main(folder: str, faults: str, *program: str) -> int:
    """Run a program that finds such a disk."""
    with mounted(folder) as fd:
        disk = Disk(Path(faults))
        started: subprocess.Popen[bytes] | None = None
        while started is None or started.poll() is None:
            if select.select([fd], [], [], 0.02)[0]:
                disk.serve(fd)
                started = started or subprocess.Popen(program, pass_fds=())
        return started.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
