"""Fetching one large file over HTTP: continued where it was cut off, and kept only if its hash is right."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from filelock import FileLock, Timeout

from glomseg._version import __version__
from glomseg.errors import DownloadError, GlomsegError, InvalidInputError
from glomseg.files import make_folder, output_error, sha256_of
from glomseg.progress import Progress

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 2**18
_N_ATTEMPTS = 5  # in a row that bring nothing new
_PAUSE_S = 1.0  # before the second attempt; doubles with each further one
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class StatusError(DownloadError):
    """A server answered that it will not send a file; `status` is the number it gave."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class _CutError(Exception):
    """The transfer broke off in a way that may pass; the message says how."""


class _CarefulRedirects(HTTPRedirectHandler):
    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        # Nobody on the way may lead an encrypted transfer to an open one.
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise URLError(f"the server leads on to {newurl}, which is not https")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and urlsplit(newurl)[:2] == urlsplit(req.full_url)[:2]:
            following.unredirected_hdrs.update(req.unredirected_hdrs)  # a token is for this server and no other
        return following


def download(
    url: str, path: Path, *, sha256_prefix: str, n_bytes: int, token: str = "", progress: Progress | None = None
) -> None:
    """Make `path` hold the file at `url` whose SHA-256 begins with `sha256_prefix`.

    What has arrived is kept in ``<path>.part`` until it is whole, so a later call goes on from there where
    the server can; where it cannot, the file is fetched from its start. A transfer that breaks off is tried
    again a few times. Processes that want the same file wait for the first one and share its file.

    Parameters
    ----------
    url
        An http or https address. Proxies are taken from the environment as usual.
    path
        The file; an existing one with another hash is replaced once the right one is there.
    sha256_prefix
        First hexadecimal digits of the SHA-256 of the file.
    n_bytes
        About how large the file is. A server that sends more than twice as much is not listened to.
    token
        With which to log in; the server of `url` gets it, and no other that it leads on to.
    progress
        Called with the bytes that are there and the bytes of the whole file.

    Raises
    ------
    InvalidInputError
        If `url` is neither http nor https.
    DownloadError
        If the server cannot be reached, keeps breaking off, or sends another file; `StatusError` if it refuses.
    OutputError
        If the file cannot be written.
    """
    _check_scheme(url)
    make_folder(path.parent)
    with _only_process(path, n_bytes=n_bytes, progress=progress):
        if not has_hash(path, sha256_prefix):
            part = _beside(path, ".part")
            _complete(url, part, sha256_prefix=sha256_prefix, n_bytes=n_bytes, token=token, progress=progress)
            try:
                os.replace(part, path)
            except OSError as error:
                raise output_error(path, error) from error
    if progress is not None:
        progress(path.stat().st_size, path.stat().st_size)


def has_hash(path: Path, sha256_prefix: str) -> bool:
    """Return whether `path` is a file whose SHA-256 begins with these hexadecimal digits."""
    return path.is_file() and sha256_of(path).startswith(sha256_prefix)


def fetch(url: str, *, max_bytes: int, token: str = "") -> bytes:
    """Return what is at `url`: a short answer, in one piece.

    Raises
    ------
    InvalidInputError
        If `url` is neither http nor https.
    DownloadError
        If the server cannot be reached or sends more than `max_bytes`; `StatusError` if it refuses.
    """
    _check_scheme(url)
    for attempt in range(_N_ATTEMPTS):
        try:
            with _opener().open(_request(url, token=token), timeout=_TIMEOUT_S) as response:
                content: bytes = response.read(max_bytes + 1)
        except HTTPError as error:
            error.close()
            if error.code not in _PASSING_STATUS or attempt == _N_ATTEMPTS - 1:
                raise _refusal(url, error) from error
        except (OSError, HTTPException) as error:  # URLError is an OSError
            reason = error.reason if isinstance(error, URLError) else str(error) or type(error).__name__
            raise DownloadError(f"cannot download {url}: {reason}") from error
        else:
            if len(content) > max_bytes:
                raise DownloadError(f"{url} has more than the {max_bytes:,} bytes that it can reasonably have")
            return content
        time.sleep(_PAUSE_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise InvalidInputError(f"cannot download {url!r}: only http and https addresses are fetched")


def _request(url: str, *, token: str) -> Request:
    request = Request(url, headers={"User-Agent": f"glomseg/{__version__}", "Accept-Encoding": "identity"})
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


def _refusal(url: str, error: HTTPError) -> StatusError:
    return StatusError(f"cannot download {url}: the server answers {error.code} {error.reason}", status=error.code)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


@contextmanager
def _only_process(path: Path, *, n_bytes: int, progress: Progress | None) -> Iterator[None]:
    """Hold the lock of `path`; the system gives it back even if this process is killed."""
    lock = FileLock(_beside(path, ".lock"))
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if progress is not None:
                progress(0, n_bytes, "waiting for another process that fetches it")
            lock.acquire(poll_interval=0.1)
    except OSError as error:
        raise output_error(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _complete(url: str, part: Path, *, sha256_prefix: str, n_bytes: int, token: str, progress: Progress | None) -> None:
    """Fetch what is missing of `part` until its hash is right: that decides, not the length a server claims."""
    n_vain = furthest = 0
    may_start_over = True
    while not has_hash(part, sha256_prefix):
        kept = _size(part)
        try:
            _receive(url, part, n_bytes=n_bytes, token=token, progress=progress, is_first=furthest == 0)
        except _CutError as cut:
            arrived = _size(part)
            n_vain = 0 if arrived > max(kept, furthest) else n_vain + 1
            furthest = max(furthest, arrived)
            if n_vain >= _N_ATTEMPTS:
                raise DownloadError(
                    f"cannot download {url}: the connection failed {n_vain} times in a row at {arrived:,} bytes "
                    f"({cut}); what has arrived is kept, the next attempt goes on from there"
                ) from cut
            if n_vain:
                time.sleep(_PAUSE_S * 2 ** (n_vain - 1))
            continue
        if has_hash(part, sha256_prefix):
            return
        found, n_found = sha256_of(part), _size(part)
        part.unlink()
        # What was kept before may be the bytes that are wrong; fetch it once more from the start.
        if not (kept and may_start_over):
            raise DownloadError(
                f"what {url} sent is not the file that was meant: {n_found:,} bytes with SHA-256 {found[:12]}..., "
                f"expected about {n_bytes:,} bytes with SHA-256 {sha256_prefix}...; it was damaged on the way, or a "
                "proxy or log-in page answered instead. It was deleted"
            )
        may_start_over = False


def _receive(url: str, part: Path, *, n_bytes: int, token: str, progress: Progress | None, is_first: bool) -> None:
    """Send one request for what is missing of `part` and append what comes; raise `_CutError` if that breaks off."""
    kept = _size(part)
    request = _request(url, token=token)
    if kept:
        request.add_header("Range", f"bytes={kept}-")
    try:
        with _opener().open(request, timeout=_TIMEOUT_S) as response:
            start, total = _span(response)
            if start not in (0, kept):
                part.unlink()
                raise _CutError(f"the server sent other bytes than those from {kept:,} on")
            if total is not None and total > 2 * n_bytes:
                raise DownloadError(
                    f"{url} has {total:,} bytes, but the file that was meant has about {n_bytes:,}: it is another one"
                )
            _append(response, part, start=start, total=total, n_bytes=n_bytes, progress=progress)
    except GlomsegError:
        raise
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # not shorter than the file, so not a piece of it
        elif error.code not in _PASSING_STATUS:
            raise _refusal(url, error) from error
        raise _CutError(f"the server answers {error.code} {error.reason}") from error
    except URLError as error:
        if is_first:  # most likely there is no network at all, and waiting will not help
            raise DownloadError(f"cannot download {url}: {error.reason}") from error
        raise _CutError(str(error.reason)) from error
    except (OSError, HTTPException) as error:
        raise _CutError(str(error) or type(error).__name__) from error


def _append(
    response: HTTPResponse, part: Path, *, start: int, total: int | None, n_bytes: int, progress: Progress | None
) -> None:
    """Write the bytes of an answer into `part` from `start` on, at most twice as many as expected."""
    done, end = start, 2 * n_bytes if total is None else total
    with _open_part(part, "ab" if start else "wb") as file:
        while done < end:
            # read1 gives what is there, so that what came before a cut is not lost.
            chunk = response.read1(min(_CHUNK_BYTES, end - done))
            if not chunk:
                break
            _write(file, chunk, part=part)
            done += len(chunk)
            if progress is not None:
                progress(done, max(done, total or n_bytes))
    if total is not None and done < total:
        raise _CutError(f"the server closed it at {done:,} of {total:,} bytes")


def _span(response: HTTPResponse) -> tuple[int, int | None]:
    """Return at which byte of the file an answer starts, and the bytes of the whole file if it says so."""
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isascii() and length.isdigit() else None
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", "").strip())
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _open_part(part: Path, mode: str) -> FileIO:
    # Unbuffered: a full disk shows in the write, where it cannot be taken for a broken connection.
    try:
        return FileIO(part, mode)
    except OSError as error:
        raise output_error(part, error) from error


def _write(file: FileIO, chunk: bytes, *, part: Path) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise output_error(part, error) from error


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _opener() -> OpenerDirector:
    # The usual opener would also follow ftp:, file: and data: addresses.
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        _CarefulRedirects(),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
        UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
