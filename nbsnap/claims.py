"""Who holds a store in a bucket: objects in `locks/` that are put again every minute.

A claim is `shared-<random>` or `alone-<random>`, made before its maker looks for the others'. One that was not put
again for `EXPIRY` seconds is a dead one's. Ages are compared by the bucket's own clock, as a listing tells it. A holder
who could not put his for half that time does not trust it himself any more: he publishes no manifest and removes
nothing, so a machine that slept does no harm when it wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from nbsnap.objects import deleted, listed
from nbsnap.quiet import uninterrupted
from nbsnap.remote import Client, Exists, Outdated, leave, obstore, submit

__all__ = ["LOCKS", "Claim", "Claims"]

EXPIRY, BEAT, TRUST = 300.0, 60.0, 150.0  # seconds of a hold: of others', between two puts, of one's own
PACE = 1.0  # seconds between two tries to get a hold
LOCKS = "locks"
_CLAIM = re.compile(r"locks/(alone|shared)-[0-9a-f]{32}")
_released: set[str] = set()  # claims of this process that are being removed


def _clock() -> float:
    """Return seconds that go on while the machine sleeps."""
    with contextlib.suppress(AttributeError, OSError):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Claims:
    """The holds that this process has by way of one backend."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.held: list[Claim] = []
        self._refused = 0.0

    def take(self, *, alone: bool) -> Claim | None:
        """Claim the store, alone or with others; return None where somebody else has it so that it cannot be."""
        while (rest := self._refused + PACE - time.monotonic()) > 0:
            time.sleep(min(rest, 0.1))
        name = f"{LOCKS}/{'alone' if alone else 'shared'}-{secrets.token_hex(16)}"
        made = Claim(self, name)
        try:
            found = self.client.do(lambda store: _claimed(store, name))
            made.begin()
            now = max((meta["last_modified"] for meta in found), default=None)
            mine = next((meta["last_modified"] for meta in found if meta["path"] == name), now)
            others = []
            for meta in found:
                claim = _CLAIM.fullmatch(meta["path"])
                if claim is None or meta["path"] == name or meta["path"] in _released:
                    continue
                if (mine - meta["last_modified"]).total_seconds() > EXPIRY:
                    leave(submit(self.client.ask(lambda store, dead=meta["path"]: deleted(store, [dead]))))  # type: ignore[misc]
                elif alone or claim[1] == "alone":
                    others.append(meta["path"])
        except BaseException:
            made.release()
            raise
        if others:
            made.release()
            self._refused = time.monotonic()
            return None
        return made

    def check(self) -> None:
        """Refuse to go on where a hold of ours may not count any more."""
        if any(not hold.counts() for hold in self.held):
            raise OSError(
                errno.ETIMEDOUT,
                "the bucket was out of reach for minutes, or this machine slept: others may have tidied it; try again",
            )


async def _claimed(store: Any, name: str) -> Sequence[Any]:
    """Put a claim, then return what there is of claims."""
    await obstore().put_async(store, name, b"nbsnap\n", use_multipart=False)
    return await listed(store, LOCKS)


class Claim:
    """One hold: an object that is put again and again until it is released."""

    def __init__(self, claims: Claims, name: str) -> None:
        self.claims, self.name = claims, name
        self._last = _clock()
        self._beating: Future[None] | None = None
        self._over = False

    def begin(self) -> None:
        """Put the claim again and again from now on."""
        self.claims.held.append(self)
        self._beating = submit(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            begun = _clock()
            with contextlib.suppress(OSError, Exists, Outdated):
                await self.claims.client.ask(
                    lambda store: obstore().put_async(store, self.name, b"nbsnap\n", use_multipart=False)
                )
                self._last = begun

    def counts(self) -> bool:
        """Tell whether others still respect it, for long enough to do what takes one request."""
        return _clock() - self._last < TRUST

    def release(self) -> None:
        if self._over:
            return
        self._close()
        _released.add(self.name)
        with contextlib.suppress(OSError, RuntimeError), uninterrupted():
            removing = submit(self.claims.client.ask(lambda store: deleted(store, [self.name])))
            removing.add_done_callback(lambda _: _released.discard(self.name))
            leave(removing, 0.1)

    def _close(self) -> None:
        self._over = True
        if self in self.claims.held:
            self.claims.held.remove(self)
        if self._beating is not None:
            self._beating.cancel()

    def __del__(self) -> None:
        if not self._over and self._beating is not None:
            with contextlib.suppress(Exception):
                self.release()
