"""Published weights that a training can start from: what they are, and how they come into the cache."""

import difflib
import os
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from glomseg.errors import DownloadError, InvalidInputError, MissingInputError
from glomseg.models.download import download, has_hash
from glomseg.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWeights:
    """One published file of weights.

    Attributes
    ----------
    name
        What a user calls it.
    url
        Where it is published.
    sha256_prefix
        First hexadecimal digits of its SHA-256, as OpenMMLab writes them into the file name.
    architecture
        Name in `glomseg.models.build.ARCHITECTURES` of the network that it fits.
    part
        "network" if the entries are those of the whole network, "backbone" if of those only its
        backbone's are used.
    n_bytes
        About how large the file is.
    licence
        Licence under which the weights are published (SPDX identifier).
    trained_on
        The data that they were trained on.
    data_terms
        What the terms of those data allow.
    """

    name: str
    url: str
    sha256_prefix: str
    architecture: str
    part: Literal["network", "backbone"]
    n_bytes: int
    licence: str
    trained_on: str
    data_terms: str

    @property
    def file_name(self) -> str:
        """Name of the file in the cache: that of the published file."""
        return PurePosixPath(urlsplit(self.url).path).name


KNOWN_WEIGHTS: dict[str, KnownWeights] = {
    item.name: item
    for item in (
        KnownWeights(
            name="pspnet_r50_cityscapes",
            url="https://download.openmmlab.com/mmsegmentation/v0.5/pspnet/pspnet_r50-d8_512x1024_40k_cityscapes/"
            "pspnet_r50-d8_512x1024_40k_cityscapes_20200605_003338-2966598c.pth",
            sha256_prefix="2966598c",
            architecture="pspnet_r50",
            part="network",
            n_bytes=196_205_945,
            licence="Apache-2.0",
            trained_on="Cityscapes (street scenes, 19 classes), on top of ImageNet",
            data_terms="Cityscapes and ImageNet are for non-commercial research and teaching",
        ),
        KnownWeights(
            name="resnet50_v1c_imagenet",
            url="https://download.openmmlab.com/pretrain/third_party/resnet50_v1c-2cccc1ad.pth",
            sha256_prefix="2cccc1ad",
            architecture="pspnet_r50",
            part="backbone",
            n_bytes=102_600_000,
            licence="Apache-2.0",
            trained_on="ImageNet (photographs, 1000 classes)",
            data_terms="ImageNet is for non-commercial research and teaching",
        ),
        KnownWeights(
            name="mobilenet_v2_imagenet",
            url="https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/"
            "mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth",
            sha256_prefix="3b2dc3af",
            architecture="fpn_mobilenet_v2",
            part="backbone",
            n_bytes=14_200_000,
            licence="Apache-2.0",
            trained_on="ImageNet (photographs, 1000 classes)",
            data_terms="ImageNet is for non-commercial research and teaching",
        ),
    )
}
"""The weights by name."""


def cache_folder() -> Path:
    r"""Return the folder where downloaded weights are kept, whether it exists or not.

    It is ``$GLOMSEG_CACHE`` if that is set, else ``glomseg`` in the user's cache folder: ``$XDG_CACHE_HOME``
    or ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` (as ``glomseg\Cache``) on
    Windows.

    Raises
    ------
    MissingInputError
        If none of these is set and the user has no home folder.
    """
    chosen = os.environ.get("GLOMSEG_CACHE", "")
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "glomseg" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "glomseg"
        xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification: a relative path is invalid and to be ignored.
        return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "glomseg"
    except RuntimeError as error:
        raise MissingInputError(
            "there is no home folder to keep downloaded weights in; set GLOMSEG_CACHE to a folder you may write to"
        ) from error


def cached_path(name: str, *, cache: Path | None = None) -> Path | None:
    """Return where the file of known weights lies in the cache, or None if it is not there.

    Only its presence is looked at; `fetch_weights` checks its hash before it is used.

    Raises
    ------
    MissingInputError
        If there are no weights of that name.
    """
    path = (cache or cache_folder()) / _known(name).file_name
    return path if path.is_file() else None


def fetch_weights(
    name: str, *, cache: Path | None = None, base_url: str | None = None, progress: Progress | None = None
) -> Path:
    """Return the path of known weights whose hash has been checked, downloading them on first use.

    A download that was cut off is continued, also by a later call. Several processes may ask at once.

    Parameters
    ----------
    name
        A name in `KNOWN_WEIGHTS`.
    cache
        The folder to keep them in; by default `cache_folder`.
    base_url
        A mirror: the file is fetched from ``<base_url>/<file name>`` in place of where it was published.
    progress
        Called with the bytes that are there and the bytes of the whole file.

    Raises
    ------
    MissingInputError
        If there are no weights of that name.
    InvalidInputError
        If `base_url` is not an http or https address.
    DownloadError
        If they are not in the cache and cannot be fetched; the message says which file to put where.
    OutputError
        If the cache cannot be written.
    """
    weights = _known(name)
    url = weights.url if base_url is None else f"{base_url.rstrip('/')}/{weights.file_name}"
    path = (cache or cache_folder()) / weights.file_name
    if has_hash(path, weights.sha256_prefix):
        if progress is not None:
            progress(path.stat().st_size, path.stat().st_size)
        return path
    try:
        download(url, path, sha256_prefix=weights.sha256_prefix, n_bytes=weights.n_bytes, progress=progress)
    except DownloadError as error:
        damaged = " (the file that lies there now is damaged)" if path.exists() else ""
        raise DownloadError(
            f"{error}. If this machine has no way to that server, fetch {weights.url} elsewhere and put it on "
            f"this one as {str(path)!r}{damaged}; its SHA-256 must begin with {weights.sha256_prefix}"
        ) from error
    return path


def find_weights(name_or_path: str | os.PathLike[str], *, progress: Progress | None = None) -> Path:
    """Return the file that a user means by `name_or_path`: known weights, fetched if need be, or a file.

    Parameters
    ----------
    name_or_path
        A name in `KNOWN_WEIGHTS`, or the path of a file of weights; ``~`` is the home folder.
    progress
        Called with the bytes that are there and the bytes of the whole file.

    Raises
    ------
    MissingInputError
        If it is neither the name of known weights nor a file.
    InvalidInputError
        If it is a folder.
    DownloadError
        If known weights are not in the cache and cannot be fetched; the message says which file to put where.
    OutputError
        If the cache cannot be written.
    """
    text = os.fspath(name_or_path)
    if text in KNOWN_WEIGHTS:
        return fetch_weights(text, progress=progress)
    path = Path(os.path.expanduser(text))  # noqa: PTH111  Path.expanduser raises for an unknown user
    if path.is_file():
        return path
    if text and path.is_dir():  # an empty path would be this folder
        raise InvalidInputError(f"{text!r} is a folder; give the file of weights in it (.pth or .safetensors)")
    raise MissingInputError(f"there is no file {text!r}, and no known weights of that name: {_suggestion(text)}")


def _known(name: str) -> KnownWeights:
    if name not in KNOWN_WEIGHTS:
        raise MissingInputError(f"there are no known weights {name!r}: {_suggestion(name)}")
    return KNOWN_WEIGHTS[name]


def _suggestion(name: str) -> str:
    nearest = difflib.get_close_matches(name, KNOWN_WEIGHTS, n=1, cutoff=0.5)
    question = f"did you mean {nearest[0]}? " if nearest else ""
    return f"{question}known are {', '.join(KNOWN_WEIGHTS)}"
