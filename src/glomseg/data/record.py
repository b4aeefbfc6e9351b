"""A data set written down: which files, which groups, which bytes."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from glomseg.data.tiles import hash_of_image, hash_of_mask
from glomseg.errors import InvalidInputError
from glomseg.files import read_json, write_json
from glomseg.progress import Progress
from glomseg.types import Dataset, Sample

_DATASET = TypeAdapter(Dataset)


def write_dataset_record(path: Path, dataset: Dataset, hashes: Mapping[str, str]) -> None:
    """Write the data set's tiles, classes and groups, with the tiles' hashes, as JSON; paths are absolute."""
    samples = tuple(
        replace(
            sample,
            image_path=sample.image_path.absolute(),
            mask_path=None if sample.mask_path is None else sample.mask_path.absolute(),
        )
        for sample in dataset.samples
    )
    absolute = replace(dataset, root=dataset.root.absolute(), samples=samples)
    write_json(path, {"dataset": asdict(absolute), "sha256": dict(hashes)})


def read_dataset_record(path: Path) -> tuple[Dataset, dict[str, str]]:
    """Return the data set and the tiles' hashes that `write_dataset_record` wrote."""
    record: Any = read_json(path, what="data set record")
    try:
        return _DATASET.validate_python(record["dataset"]), {str(k): str(v) for k, v in record["sha256"].items()}
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(item) for item in first["loc"])
        raise InvalidInputError(f"data set record {str(path)!r} is damaged: {place}: {first['msg']}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"data set record {str(path)!r} is damaged: it lacks the data set or the hashes of its tiles"
        ) from error


def image_digits(digest: str) -> str:
    """Return by what the card of a model lists an image: the first 16 digits of its part of a tile's hash."""
    return digest.partition(":")[0][:16]


def hash_tiles(dataset: Dataset, *, progress: Progress | None = None) -> dict[str, str]:
    """Return the hash of each tile, as `hash_tile` has it, by name."""
    hashes: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        for sample, digest in zip(dataset.samples, pool.map(hash_tile, dataset.samples), strict=True):
            hashes[sample.name] = digest
            if progress is not None:
                progress(len(hashes), len(dataset))
    return hashes


def hash_tile(sample: Sample) -> str:
    """Return the SHA-256 of a tile's image, a colon, and that of its mask, which is empty where there is none.

    The first half recognises an image wherever it turns up again, under whatever name.
    """
    return f"{hash_of_image(sample)}:{hash_of_mask(sample)}"


def combined_hash(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256 that stands for all tiles, whatever their order."""
    lines = "\n".join(f"{name}\t{digest}" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def check_unchanged(dataset: Dataset, recorded: Mapping[str, str], current: Mapping[str, str]) -> None:
    """Raise InvalidInputError if a tile's bytes are not those that were recorded."""
    changed = [name for name in recorded if current.get(name) != recorded[name]]
    if changed:
        raise InvalidInputError(
            f"{len(changed)} tiles of {str(dataset.root)!r} are not the ones the run was started on, the first is "
            f"{changed[0]!r}; put the old files back, or start a new run"
        )
