"""Talking to a bucket: one event loop for the process, requests that end, and words for what clouds answer.

obstore does the talking (`pip install 'nbsnap[cloud]'`), and is not imported before a URL is used. It is Rust, with
threads of its own, and a call of it that waits cannot be interrupted. So:

- **Every request is a task of one event loop**, which has a thread to itself. The caller waits for it in short steps,
  and Ctrl-C cancels it. What is to be undone goes on in the loop, for moments at the end of the process.
- **Every request ends**: obstore tries again after 5xx, refused and cut connections, waiting longer each time; we do
  once more where it does not (a conditional put, a body that was cut, credentials that are renewed), and all of it
  together has a limit.
- **A forked child cannot use it**: the threads are not there. It gets an error, and does not hang.

What obstore says holds the whole answer and the whole configuration of the client. Nothing of it is shown or chained:
the code of the error and the status are looked for, and told in words of ours. A URL with a password, a token or a
query in it is refused, without being repeated."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import errno
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from nbsnap.errors import StoreError
from nbsnap.quiet import begin

__all__ = [
    "SCHEMES",
    "Client",
    "Exists",
    "Outdated",
    "address",
    "client_for",
    "leave",
    "obstore",
    "soon",
    "submit",
    "understood",
    "wait_for",
]

T = TypeVar("T")

SCHEMES = ("s3", "gs", "az")
EXTRA = "a bucket as a store needs obstore: pip install 'nbsnap[cloud]'"

LIMIT = 75.0  # seconds for a request, all tries together
TRIES, RETRIES = 3, 6  # ours, and for each of them obstore's
CONNECT, ANSWER = "5 s", "30 s"  # for one try of a request
PART = "180 s"  # of a part of an upload: 16 MiB, at 90 KB/s or more
GRACE = 1.5  # seconds at the end of the process for what is being undone
AFTERWARDS = 0.1  # ... and for the threads of Rust


def address(url: str) -> str:
    """Return the URL of a bucket as it is shown everywhere; StoreError where it is none, or holds what is secret."""
    scheme, _, rest = url.partition("://")
    if re.search(r"[@?#]", rest):
        raise StoreError(
            "the URL of a store has no user, password, query or token in it (nothing of it would be kept secret):"
            " credentials come from the environment, see docs/elsewhere.md"
        )
    if scheme.lower() not in SCHEMES:
        known = ", ".join(f"{one}://" for one in (*SCHEMES, "file", "memory"))
        raise StoreError(f"{scheme:.20}:// is not known as a place for a store: {known} are, and folders")
    bucket, _, prefix = rest.partition("/")
    parts = [part for part in prefix.split("/") if part]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise StoreError(f"a bucket is given as {scheme.lower()}://BUCKET/PREFIX, and {bucket[:80]!r} is none")
    if any(part in (".", "..") or not part.isprintable() for part in parts):
        raise StoreError(f"{prefix[:80]!r} cannot be a prefix in a bucket")
    return f"{scheme.lower()}://{'/'.join([bucket, *parts])}"


# --- the loop ---------------------------------------------------------------------------------------------------------


_guard = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_process = 0
_leaving: set[concurrent.futures.Future[Any]] = set()


def _running() -> asyncio.AbstractEventLoop:
    global _loop, _thread, _process
    if _loop is not None and _process != os.getpid():
        raise OSError(errno.ENOTSUP, "a forked process cannot use a bucket: start a new one (spawn)")
    with _guard:
        if _loop is None:
            loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=loop.run_forever, name="bucket-requests", daemon=True)
            if not begin(_thread):
                raise OSError(errno.EAGAIN, "there is no room for a thread that talks to the bucket")
            _loop, _process = loop, os.getpid()
            atexit.register(_end)
        return _loop


def submit(work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Begin some work in the loop."""
    try:
        loop = _running()
    except OSError:
        work.close()
        raise
    return asyncio.run_coroutine_threadsafe(work, loop)


def soon(work: Callable[..., Any], *arguments: Any) -> None:
    """Call something within the loop; what is asked for in an order is done in it."""
    _running().call_soon_threadsafe(work, *arguments)


def wait_for(future: concurrent.futures.Future[T]) -> T:
    """Wait for some work. Interrupted, it is cancelled."""
    try:
        while not future.done():
            concurrent.futures.wait([future], 0.1)
        return future.result()
    except BaseException:
        future.cancel()
        raise


def leave(future: concurrent.futures.Future[Any], patience: float = 0.0) -> None:
    """Let some work go on that nobody needs to wait for; the end of the process gives it a moment."""
    _leaving.add(future)
    future.add_done_callback(_leaving.discard)
    if patience:
        concurrent.futures.wait([future], patience)


def _end() -> None:
    """End the loop while Python is whole: a thread of Rust that asks for Python afterwards would abort the process."""
    if _loop is None or _process != os.getpid():
        return
    concurrent.futures.wait(list(_leaving), GRACE)

    async def stop() -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.5) if tasks else None

    with contextlib.suppress(Exception):
        asyncio.run_coroutine_threadsafe(stop(), _loop).result(1.0)
    _loop.call_soon_threadsafe(_loop.stop)
    if _thread is not None:
        _thread.join(1.0)
    time.sleep(AFTERWARDS)  # nobody tells when those threads have let go of what they had of Python's


# --- what is answered -------------------------------------------------------------------------------------------------


class Exists(Exception):
    """There is something under that name already. Never leaves the backend."""


class Outdated(Exception):
    """What is under that name is not what it was. Never leaves the backend."""


_EXPIRED = "the credentials have expired: get new ones"
#: What the code of an answer means: errno, and words.
_CODES = {
    "NoSuchBucket": (errno.ENXIO, "there is no such bucket"),
    "ContainerNotFound": (errno.ENXIO, "there is no such container"),
    "AccessDenied": (errno.EACCES, "the credentials do not allow it"),
    "AllAccessDisabled": (errno.EACCES, "the credentials do not allow it"),
    "AuthorizationPermissionMismatch": (errno.EACCES, "the credentials do not allow it"),
    "InvalidAccessKeyId": (errno.EACCES, "the access key is not known there"),
    "SignatureDoesNotMatch": (errno.EACCES, "the secret key does not fit the access key"),
    "AuthenticationFailed": (errno.EACCES, "the credentials are not accepted"),
    "InvalidToken": (errno.EACCES, "the session token is not accepted"),
    "ExpiredToken": (errno.EACCES, _EXPIRED),
    "ExpiredTokenException": (errno.EACCES, _EXPIRED),
    "TokenRefreshRequired": (errno.EACCES, _EXPIRED),
    "RequestExpired": (errno.EACCES, _EXPIRED),
    "RequestTimeTooSkewed": (errno.EACCES, "the clock of this machine is wrong: set it"),
    "PermanentRedirect": (errno.EREMCHG, "the bucket is in another region: set AWS_REGION"),
    "AuthorizationHeaderMalformed": (errno.EREMCHG, "the bucket is in another region: set AWS_REGION"),
    "IllegalLocationConstraintException": (errno.EREMCHG, "the bucket is in another region: set AWS_REGION"),
    "SlowDown": (errno.EBUSY, "it asks to slow down, and went on doing so: try again later"),
    "ServiceUnavailable": (errno.EBUSY, "it is not available now: try again later"),
    "InternalError": (errno.EIO, "it failed within, several times: try again later"),
    "QuotaExceeded": (errno.EDQUOT, "the quota is used up"),
    "XMinioStorageFull": (errno.ENOSPC, "it is full"),
    "EntityTooLarge": (errno.EFBIG, "it takes nothing that is so large"),
}
_STATUSES = {
    301: _CODES["PermanentRedirect"],
    307: _CODES["PermanentRedirect"],
    400: (errno.EINVAL, "it does not understand what it was asked (400)"),
    401: (errno.EACCES, "the credentials are not accepted (401)"),
    403: (errno.EACCES, "the credentials do not allow it (403)"),
    404: (errno.ENXIO, "there is no such bucket (404)"),
    429: _CODES["SlowDown"],
    503: _CODES["SlowDown"],
    507: (errno.ENOSPC, "it is full"),
}
STALE = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
#: Where a machine, a container or an identity is asked for credentials, when there are none elsewhere.
_ELSEWHERE = re.compile(
    r"https?://(169\.254\.|metadata\.|sts\.|oauth2\.|login\.)|credential provider|getting token", re.I
)
_PASSING = re.compile(r"timed? ?out|error sending request|connection|decoding response|body|incomplete|reset", re.I)


class Answer:
    """What an error of obstore means. Of its text nothing but a code, a status and a region is ever kept."""

    def __init__(self, error: BaseException) -> None:
        text = str(error).partition("Debug source")[0]
        code = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text) or re.search(r'"code": ?"([A-Za-z]{1,60})"', text)
        status = re.search(r"non-2xx status code: (\d{3})", text)
        region = re.search(r"<Region>([a-z0-9-]{1,40})</Region>", text)
        self.code = code[1] if code else ""
        self.status = int(status[1]) if status else 0
        self.stale = self.code in STALE
        lost = _ELSEWHERE.search(text)
        redirect = "configured region" in text
        self.passing = self.status >= 500 or self.status == 429 or (not self.status and bool(_PASSING.search(text)))
        self.passing = self.passing and not lost and not redirect
        found = _CODES.get(self.code) or _STATUSES.get(301 if redirect else self.status)
        if lost:
            found = errno.EACCES, "no credentials were found: docs/elsewhere.md says where they are looked for"
        if found is not None:
            self.errno, self.words = found
            if region and self.errno == errno.EREMCHG:
                self.words += f"={region[1]}"
        elif "builder error" in text:
            self.errno, self.words = errno.EINVAL, "its endpoint is not https: AWS_ALLOW_HTTP=true allows that"
        elif self.passing and not self.status:
            self.errno, self.words = (
                errno.ETIMEDOUT,
                "nothing answers there, or the connection broke: is the network up?",
            )
        elif self.status:
            self.errno, self.words = errno.EIO, f"it answers {self.status} {self.code}".rstrip()
        else:
            self.errno, self.words = errno.EIO, f"{type(error).__name__} of the library that talks to it"
        if self.code and self.code not in self.words and self.errno == errno.EACCES:
            self.words += f" ({self.code})"


# --- a client ---------------------------------------------------------------------------------------------------------


class Client:
    """Talks to one bucket. `make` builds obstore's client for it, from what the environment says at that moment."""

    def __init__(self, make: Callable[[bool], Any]) -> None:
        self._make = make
        self._stores: dict[bool, Any] = {}  # for uploads, and for all else

    def store(self, uploading: bool = False) -> Any:
        """Return obstore's client."""
        found = self._stores.get(uploading)
        if found is None:
            found = self._stores[uploading] = self._make(uploading)
        return found

    def renew(self) -> None:
        """Look for credentials anew with the next request."""
        self._stores.clear()

    def do(self, work: Callable[[Any], Awaitable[T]], *, limit: float = LIMIT) -> T:
        """Do one request: `work` makes it of obstore's client, within the loop. It ends within `limit` seconds.

        Raises FileNotFoundError, Exists, Outdated, or OSError with words for people.
        """
        return wait_for(submit(self.ask(work, limit=limit)))

    async def ask(self, work: Callable[[Any], Awaitable[T]], *, limit: float = LIMIT) -> T:
        """The same, within the loop."""
        last: list[OSError] = []
        try:
            return await asyncio.wait_for(self._tried(work, last), limit)
        except TimeoutError:
            found = last[-1] if last else OSError(errno.ETIMEDOUT, f"there was no answer within {limit:.0f} s")
            raise found from None

    async def _tried(self, work: Callable[[Any], Awaitable[T]], last: list[OSError]) -> T:
        turn = 0
        while True:
            turn += 1
            try:
                return await work(self.store())
            except Exception as error:
                found = understood(error)
                if isinstance(found, Answer):
                    last.append(OSError(found.errno, found.words))
                    if turn < TRIES and (found.stale or found.passing):
                        if found.stale:
                            self.renew()
                        await asyncio.sleep(0.2 * 2**turn)
                        continue
                    failure: Exception = last[-1]
                else:
                    failure = found
            raise failure from None


def understood(error: Exception) -> Answer | Exception:
    """Return what an error of obstore means: an answer that may be asked for again, or what is to be raised."""
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        answer = Answer(error)
        if answer.code in ("NoSuchBucket", "ContainerNotFound"):
            return answer
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno is not None):
        return error
    if name == "AlreadyExistsError":
        return Exists()
    if name == "PreconditionError":
        return Outdated()
    return Answer(error)


def obstore() -> Any:
    """Return the library, or say what is missing."""
    try:
        import obstore
        import obstore.store
    except ImportError:
        raise StoreError(EXTRA) from None
    return obstore


def client_for(url: str) -> Client:
    """Return a client for the URL of a bucket, as `address` returns it. Nothing is asked of the bucket yet."""
    library = obstore()
    scheme = url.partition("://")[0]

    def make(uploading: bool) -> Any:
        from datetime import timedelta

        retry: dict[str, Any] = {
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=150 if uploading else 45),
            "backoff": {"init_backoff": timedelta(milliseconds=150), "max_backoff": timedelta(seconds=5), "base": 2},
        }
        options = {"timeout": PART if uploading else ANSWER, "connect_timeout": CONNECT, **_options(scheme)}
        more: dict[str, Any] = {}
        if scheme == "s3":
            from nbsnap.credentials import asks_the_machine, for_s3

            more = for_s3()
            if asks_the_machine():  # on most, nobody answers
                retry["max_retries"] = 1
        try:
            return library.store.from_url(url, client_options=options, retry_config=retry, **more)
        except Exception as error:
            raise OSError(errno.EINVAL, f"{type(error).__name__}: its settings cannot be used") from None

    return Client(make)


_PREFIXES = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}


def _options(scheme: str) -> dict[str, Any]:
    """Return what the environment says about the connection: obstore does not look there where it is given options."""
    prefix = _PREFIXES[scheme]
    found: dict[str, Any] = {}
    for name in ("allow_http", "allow_invalid_certificates"):
        if value := os.environ.get(f"{prefix}_{name.upper()}"):
            found[name] = value.lower() in ("1", "true", "yes", "on")
    if value := os.environ.get(f"{prefix}_PROXY_URL"):
        found["proxy_url"] = value
    if bundle := os.environ.get("AWS_CA_BUNDLE") if scheme == "s3" else None:
        try:
            with open(bundle, "rb") as file:
                found["root_certificate"] = file.read()
        except OSError as error:
            raise OSError(error.errno, f"AWS_CA_BUNDLE cannot be read: {error.strerror}") from None
    return found
