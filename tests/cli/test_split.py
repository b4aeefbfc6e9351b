import json

import numpy as np
import pytest

from glomseg.cli.main import main
from glomseg.data.split import read_split
from glomseg.images import write_png


def run(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return stopped.value.code, printed.out, printed.err


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_it_writes_beside_the_data_and_shows_the_parts(tiny_dataset, capsys):
    code, said, warned = run(["split", tiny_dataset], capsys)
    assert code == 0
    folder = tiny_dataset / "splits"
    assert files_below(folder) == ["split.json", "train.txt", "val.txt"]
    split = read_split(folder / "split.json")
    assert (len(split.train), len(split.val), split.test) == (10, 2, ())
    lists = read_split(folder)
    assert (lists.train, lists.val) == (split.train, split.val)
    held_out = split.val[0].rpartition("_")[0]
    for line in ("train │    10", "val   │     2", f"val: {held_out}", "groups: name <site>_<slide>_<tile>"):
        assert line in said
    assert "leak" not in warned


def test_shares_seed_and_folder(tiny_dataset, tmp_path, capsys):
    out = tmp_path / "my splits"
    run(["split", tiny_dataset, "--val", "0.34", "--test", "0.34", "--seed", "4", "-o", out], capsys)
    split = read_split(out / "split.json")
    assert (len(split.train), len(split.val), len(split.test), split.seed) == (4, 4, 4, 4)
    assert files_below(out) == ["split.json", "test.txt", "train.txt", "val.txt"]
    assert not (tiny_dataset / "splits").exists()
    assert set(json.loads((out / "split.json").read_text())["summary"]) == {"train", "val", "test"}


def test_folds(tiny_dataset, tmp_path, capsys):
    code, said, _ = run(["split", tiny_dataset, "--folds", "3", "--out", tmp_path / "cv"], capsys)
    assert code == 0
    splits = [read_split(tmp_path / "cv" / f"fold-{number}" / "split.json") for number in (1, 2, 3)]
    assert sorted(name for split in splits for name in split.val) == sorted(splits[0].train + splits[0].val)
    assert "fold-3" in said


def test_by_tile_counts_the_leaks(tiny_dataset, tmp_path, capsys):
    code, _, warned = run(["split", tiny_dataset, "--by", "tile", "--val", "0.5", "--out", tmp_path / "s"], capsys)
    assert code == 0
    n_leaking = len(read_split(tmp_path / "s" / "split.json").leaking_groups)
    assert n_leaking > 0
    assert f"{n_leaking} of 6 groups have tiles in more than one part" in warned


@pytest.mark.parametrize("more", [["--test", "0.2"], ["--by", "tile"]])
def test_folds_take_no_other_division(tiny_dataset, more, capsys):
    code, _, error = run(["split", tiny_dataset, "--folds", "3", *more], capsys)
    assert code == 1
    assert "takes neither --test nor --by tile" in error


def test_names_that_hide_groups_are_warned_of(tmp_path, capsys):
    for name in "abcd":
        write_png(tmp_path / "data" / "images" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
        write_png(tmp_path / "data" / "masks" / f"{name}.png", np.eye(8, dtype=np.uint8))
    code, _, warned = run(["split", tmp_path / "data"], capsys)
    assert code == 0
    assert "--group-pattern or --group-column" in warned


def test_a_name_with_a_line_break_gets_a_split_but_no_lists(tmp_path, capsys):
    for name in ("a\nb", "c", "d"):
        write_png(tmp_path / "data" / "images" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
        write_png(tmp_path / "data" / "masks" / f"{name}.png", np.eye(8, dtype=np.uint8))
    code, _, warned = run(["split", tmp_path / "data"], capsys)
    assert code == 0
    assert files_below(tmp_path / "data" / "splits") == ["split.json"]
    assert "no lists for MMSegmentation" in warned


def test_somebody_elses_lists_are_not_overwritten(tiny_dataset, tmp_path, capsys):
    lists = tiny_dataset / "splits"
    lists.mkdir()
    (lists / "train.txt").write_text("SITE_S01_T01\n")
    code, _, error = run(["split", tiny_dataset], capsys)
    assert code == 1
    assert "was not written by `glomseg split`" in error
    assert "--out" in error
    assert files_below(lists) == ["train.txt"]


def test_its_own_split_is_replaced_whole(tiny_dataset, capsys):
    run(["split", tiny_dataset, "--test", "0.2"], capsys)
    code, _, _ = run(["split", tiny_dataset, "--seed", "1"], capsys)
    assert code == 0
    assert files_below(tiny_dataset / "splits") == ["split.json", "train.txt", "val.txt"]


def test_a_folder_that_cannot_be_written_names_the_way_out(tiny_dataset, capsys):
    (tiny_dataset / "splits").write_text("a file in the way")
    code, _, error = run(["split", tiny_dataset], capsys)
    assert code == 1
    assert "choose another output folder, with --out FOLDER" in error


def test_help_explains_every_flag(capsys):
    code, said, _ = run(["split", "--help"], capsys)
    assert code == 0
    flags = ("--val", "--test", "--folds", "--seed", "--by", "--out", "--classes", "--mask-values", "--group-pattern")
    for flag in (*flags, "--group-column", "--mpp"):
        assert flag in said
