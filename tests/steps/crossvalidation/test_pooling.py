"""One evaluation of all folds."""

from dataclasses import replace

import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.record import hash_tiles
from glomseg.data.split import write_split
from glomseg.models.model_files import load_model, save_model
from glomseg.steps.crossvalidation.pooling import write_pooled_evaluation
from glomseg.steps.evaluate import evaluate_model
from glomseg.types import Split


@pytest.mark.parametrize("n_seen", [0, 2])
def test_held_out_tiles_that_the_start_saw_are_told_first(tiny_dataset, tiny_model, tmp_path, n_seen):
    dataset = open_dataset(tiny_dataset)
    hashes = {name: digest[:16] for name, digest in hash_tiles(dataset).items()}
    names = list(hashes)
    network, card = load_model(tiny_model)
    known = {"train_images": ["another"], "start_images": [hashes[name] for name in names[:n_seen]]}
    save_model(tmp_path / "m.safetensors", network, replace(card, trained_on=known))
    folders = []
    for number, held_out in enumerate((names[:2], names[2:4]), start=1):
        split = tmp_path / f"split{number}.json"
        write_split(split, Split(train=(), val=(), test=tuple(held_out)))
        folders.append(tmp_path / f"fold-{number}" / "evaluation-test")
        evaluate_model(
            tmp_path / "m.safetensors", dataset, out=folders[-1], part="test", split=split, n_worst=0, device="cpu"
        )
    pooled = write_pooled_evaluation(folders, dataset, out=tmp_path / "pooled", notes=["Out of fold."])
    assert len(pooled.evaluation.tiles) == 4
    leak = (
        "Held-out tiles of 1 fold were seen by the weights that the training started from: the figures flatter, do not "
        "report them."
    )
    assert pooled.notes[: 2 if n_seen else 1] == ((leak, "Out of fold.") if n_seen else ("Out of fold.",))
