"""Weights from Hugging Face's hub: which files a repository has, and fetching those that are needed.

Tensors come as safetensors where there are any. Nothing else of a repository is read but its descriptions in JSON.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter, ValidationError

from glomseg.errors import DownloadError, InvalidInputError
from glomseg.files import read_json, write_bytes, write_json
from glomseg.models.download import StatusError, download, fetch, has_hash
from glomseg.models.known_weights import cache_folder
from glomseg.models.pretrained.source import CONFIG, PREPROCESSOR, is_plain, shards_of, weights_among
from glomseg.progress import Progress

PREFIX = "hf:"
"""What the name of a repository begins with."""

_HUB = "https://huggingface.co"
_NAME = re.compile(r"hf:([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w.][\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_ANSWER_BYTES = 16 * 2**20
_REFUSED = frozenset({401, 403})
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class HubWeights:
    """Weights that were fetched.

    Attributes
    ----------
    name
        ``hf:<repository>@<commit>``: what gives these very files again.
    folder
        Where they lie, with the descriptions beside them.
    """

    name: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    n_bytes: int
    sha256: str  # "" where git holds the file itself
    blob: str  # git's hash of it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    commit: str
    files: dict[str, _File]


def fetch_from_hub(weights: str, *, cache: Path | None = None, progress: Progress | None = None) -> HubWeights:
    """Return the folder with the files of a repository that a training can start from, fetching them on first use.

    Parameters
    ----------
    weights
        ``hf:<organisation>/<name>``, with ``@<revision>`` where it shall not be the newest: a branch, a tag, a commit.
        The server is that of the environment variable HF_ENDPOINT, else huggingface.co; HF_TOKEN logs in.
    cache
        The folder to keep them in, in ``hub``; by default `cache_folder`.
    progress
        Called with the bytes that are there and the bytes of the whole file.

    Raises
    ------
    InvalidInputError
        If this is no name of a repository, or what the server says of it cannot be.
    MissingInputError
        If it holds no weights.
    DownloadError
        If there is no such repository, access is not granted, or files cannot be fetched. Without a network a revision
        that was fetched before is used.
    OutputError
        If the cache cannot be written.
    """
    found = _NAME.fullmatch(weights)
    if found is None or ".." in weights:
        raise InvalidInputError(
            f"{weights!r} is no name of a repository; write hf:ORGANISATION/NAME or hf:ORGANISATION/NAME@REVISION"
        )
    repository, revision = found[1], found[2] or "main"
    home = (cache or cache_folder()) / "hub" / repository.replace("/", "--")
    listing = _listing(repository, revision, kept=home / "revisions" / f"{quote(revision, safe='')}.json")
    folder = home / listing.commit
    name = weights_among([item for item in listing.files if is_plain(item)], where=f"repository {repository!r}")
    wanted = [name, *(item for item in (CONFIG, PREPROCESSOR) if item in listing.files)]

    def fetched(item: str) -> Path:
        return _fetch_file(repository, listing, item, folder=folder, progress=progress)

    for item in wanted:
        path = fetched(item)
        if item == name and name.endswith(".json"):
            shards = sorted(set(shards_of(read_json(path, what="index"), path=path).values()))
            for shard in shards:
                if shard not in listing.files:
                    raise InvalidInputError(f"repository {repository!r} has no {shard}, which its {name} names")
                fetched(shard)
    return HubWeights(name=f"{PREFIX}{repository}@{listing.commit}", folder=folder)


def _listing(repository: str, revision: str, *, kept: Path) -> _Listing:
    """Return the files of a revision: from the server, or as they were where it cannot be asked or nothing changes."""
    if _COMMIT.fullmatch(revision) and kept.is_file():
        return _kept_listing(kept)
    url = f"{_endpoint()}/api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"
    try:
        answer = fetch(url, max_bytes=_MAX_ANSWER_BYTES, token=_token())
    except StatusError as error:
        raise _explained(error, repository, revision) from error
    except DownloadError as error:
        if kept.is_file():
            return _kept_listing(kept)
        raise DownloadError(
            f"{error}. If this machine has no way to the hub, fetch the files of {_endpoint()}/{repository} elsewhere "
            "(model.safetensors, config.json, preprocessor_config.json) and give their folder as --weights"
        ) from error
    listing = _parsed(answer, repository)
    write_json(kept, asdict(listing))
    return listing


def _kept_listing(kept: Path) -> _Listing:
    try:
        return TypeAdapter(_Listing).validate_python(read_json(kept, what="list of the files of a repository"))
    except ValidationError as error:
        raise InvalidInputError(f"list of the files of a repository {str(kept)!r} is damaged; delete it") from error


def _parsed(answer: bytes, repository: str) -> _Listing:
    try:
        values: Any = json.loads(answer)
        commit, files = values["sha"], {}
        for item in values["siblings"]:
            large = item.get("lfs") or {}
            files[str(item["rfilename"])] = _File(
                n_bytes=int(large.get("size", item.get("size") or 0)),
                sha256=str(large.get("sha256", "")),
                blob=str(item.get("blobId", "")),
            )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInputError(
            f"what {_endpoint()} says of {repository!r} is not as expected ({type(error).__name__}: {error}); a proxy "
            "or log-in page may have answered in its place"
        ) from error
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise InvalidInputError(f"{_endpoint()} gives {commit!r} as the commit of {repository!r}, which is none")
    return _Listing(commit=commit, files=files)


def _fetch_file(repository: str, listing: _Listing, name: str, *, folder: Path, progress: Progress | None) -> Path:
    """Return the path of a file whose hash is that of the listing."""
    file, path = listing.files[name], folder / name
    url = f"{_endpoint()}/{repository}/resolve/{listing.commit}/{quote(name)}"
    try:
        if re.fullmatch(r"[0-9a-f]{64}", file.sha256):
            if not has_hash(path, file.sha256):
                download(url, path, sha256_prefix=file.sha256, n_bytes=file.n_bytes, token=_token(), progress=progress)
        elif not path.is_file() or _blob(path.read_bytes()) != file.blob:
            content = fetch(url, max_bytes=_MAX_ANSWER_BYTES, token=_token())
            if _blob(content) != file.blob:
                raise DownloadError(f"what {url} sent is not the file that the repository lists; try again")
            write_bytes(path, content)
    except StatusError as error:
        raise _explained(error, repository, listing.commit) from error
    return path


def _blob(content: bytes) -> str:
    """Return git's hash of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _explained(error: StatusError, repository: str, revision: str) -> DownloadError:
    page = f"{_endpoint()}/{repository}"
    if error.status in _REFUSED:
        token = (
            "HF_TOKEN is set, but its account has no access, or the token may not read gated repositories"
            if _token()
            else "HF_TOKEN is not set"
        )
        return DownloadError(
            f"access to {repository!r} was refused ({error.status}): it does not exist, is private, or is gated. If it "
            f"is gated, log in, open {page}, and accept its licence form (some are granted by hand, after days); "
            f"make a token at {_endpoint()}/settings/tokens and set HF_TOKEN to it. {token}"
        )
    if error.status == _NOT_FOUND:
        return DownloadError(f"there is no {repository!r} with the revision {revision!r} ({page}); check both names")
    return DownloadError(str(error))


def _endpoint() -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise InvalidInputError(f"HF_ENDPOINT is {endpoint!r}, no http or https address")
    return endpoint


def _token() -> str:
    """Return the token to log in with; none where it would go over the network in the open."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        return ""
    if not re.fullmatch(r"[!-~]+", token):
        raise InvalidInputError("HF_TOKEN holds blanks or other characters that no token has")
    address = urlsplit(_endpoint())
    return token if address.scheme == "https" or address.hostname in ("127.0.0.1", "localhost", "::1") else ""
