"""A real S3 API on loopback (moto's server, in a process of its own), and a proxy in front of it that does harm.

The proxy speaks HTTP/1.1, counts what is asked by kind, and does to a request what a test tells it: answer an error,
wait, cut the connection before or in the midst of the answer, swallow the answer after the server has done the work.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import secrets
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SERVER = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class Server:
    """Moto, until `close`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.bucket("test")

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """One request, as by somebody else."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20261126/us-east-1/s3/aws4_request", **headers}
        connection.request(method, path, body, signed)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        assert answer.status < 300, (answer.status, data)
        return data

    def bucket(self, name: str) -> None:
        """Make a bucket."""
        self.ask("PUT", f"/{name}")

    def uploads(self, bucket: str = "test") -> list[str]:
        """The uploads that were begun and neither completed nor given up."""
        return re.findall(r"<Key>([^<]*)</Key>", self.ask("GET", f"/{bucket}?uploads").decode())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def environment(port: int) -> dict[str, str]:
    """What a user would set for a bucket on this machine."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDNOBODYSEESTHIS",
        "AWS_SECRET_ACCESS_KEY": "SecretNobodySeesThis",
    }


def prefix() -> str:
    """A place that nobody else has."""
    return f"s3://test/{secrets.token_hex(6)}"


@dataclass
class Asked:
    """A request that came by."""

    method: str
    path: str
    number: int  # of its kind
    head: bytes = b""

    @property
    def kind(self) -> str:
        if self.method == "GET" and "list-type=2" in self.path:
            return "LIST"
        if "uploads" in self.path and self.method == "POST":
            return "BEGIN"
        if "uploadId" in self.path:
            return {"POST": "COMPLETE", "PUT": "PART", "DELETE": "ABORT"}[self.method]
        if self.method == "POST":
            return "DELETE"  # of many
        return self.method


@dataclass
class Harm:
    """What happens to a request: all in order, each if it is set."""

    wait: float = 0.0
    status: int = 0  # this is answered, and the server never hears of it
    code: str = ""
    cut_before: bool = False  # the connection is cut, and the server never hears of it
    swallow: bool = False  # the server does it, and the connection is cut
    cut_after: int = -1  # so many bytes of the body are let through


Rule = Callable[[Asked], Harm | None]


@dataclass
class Proxy:
    """In front of the server. `rule` says what happens to each request, `counts` how many of each kind there were."""

    behind: int
    rule: Rule | None = None
    latency: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    asked: list[Asked] = field(default_factory=list)
    fetched: int = 0  # bytes of bodies that were answered
    clients: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def _run(self, ready: threading.Event) -> None:
        async def start() -> None:
            self.server = await asyncio.start_server(self._client, "127.0.0.1", 0)
            self.port: int = self.server.sockets[0].getsockname()[1]
            ready.set()

        self.loop.run_until_complete(start())
        self.loop.run_forever()

    def reset(self) -> None:
        self.counts.clear()
        self.asked.clear()
        self.fetched = 0

    def close(self) -> None:
        async def stop() -> None:
            self.server.close()
            for _ in range(3):  # those who came just then, too
                tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.sleep(0.02)  # what was closed is let go of

        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.run_until_complete(stop())  # and who came after that
        self.loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = asyncio.current_task()
        assert mine is not None
        self.clients.add(mine)  # the loop itself does not keep it alive
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.clients.discard(mine)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        asked = Asked(method, path, 0, head.lower())
        asked.number = self.counts[asked.kind]
        self.counts[asked.kind] += 1
        self.asked.append(asked)
        harm = (self.rule(asked) if self.rule is not None else None) or Harm()
        await asyncio.sleep(self.latency + harm.wait)
        if harm.cut_before:
            return False
        if harm.status:
            text = f"<?xml version='1.0'?><Error><Code>{harm.code}</Code><Message>no</Message></Error>".encode()
            text = b"" if method == "HEAD" else text
            answer = (
                f"HTTP/1.1 {harm.status} No\r\nContent-Length: {len(text)}\r\nContent-Type: application/xml\r\n\r\n"
            )
            writer.write(answer.encode() + text)
            await writer.drain()
            return True
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.behind)
        try:
            to_server.write(
                re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n" + body
            )
            answer = await from_server.read(-1)
        finally:
            to_server.close()
        if harm.swallow:
            return False
        top, _, data = answer.partition(b"\r\n\r\n")
        top = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", top)
        self.fetched += len(data) if method == "GET" else 0
        if harm.cut_after >= 0:
            writer.write(top + b"\r\n\r\n" + data[: harm.cut_after])
            await writer.drain()
            return False
        writer.write(top + b"\r\n\r\n" + data)
        await writer.drain()
        return True


def failing(*kinds: str, times: int = 1, where: str = "", **harm: object) -> Rule:
    """Harm the first requests of some kinds whose path holds a text."""
    left = [times]

    def rule(asked: Asked) -> Harm | None:
        if asked.kind in kinds and where in asked.path and left[0]:
            left[0] -= 1
            return Harm(**harm)  # type: ignore[arg-type]
        return None

    return rule


def denied(*kinds: str, status: int = 403, code: str = "AccessDenied", **more: Any) -> Rule:
    """Refuse every request of some kinds."""

    def rule(asked: Asked) -> Harm | None:
        return Harm(status=status, code=code, **more) if asked.kind in kinds else None

    return rule
