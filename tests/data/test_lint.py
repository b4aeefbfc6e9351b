import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from glomseg.data.dataset import open_dataset
from glomseg.data.layout import find_files
from glomseg.data.lint import lint
from glomseg.data.statistics import scan_masks
from glomseg.data.survey import statistics_of, survey_tiles
from glomseg.images import write_png
from glomseg.types import Split


def texture(seed, *, side=96):
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(side, side, 3)), (0, 0), 3)
    return np.clip(150 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def square(value=1, *, side=96):
    mask = np.zeros((side, side), np.uint8)
    mask[20:60, 20:60] = value
    return mask


def add(root, name, image=None, mask=None):
    number = zlib.crc32(name.encode())
    write_png(root / "images" / f"{name}.png", texture(number) if image is None else image)
    write_png(root / "masks" / f"{name}.png", square() if mask is None else mask)


@pytest.fixture
def clean(tmp_path):
    """Two slides with two tiles each and nothing wrong."""
    for name in ("S_1_a", "S_1_b", "S_2_a", "S_2_b"):
        add(tmp_path, name)
    return tmp_path


def findings_of(root, *, split=None, **options):
    dataset = open_dataset(root, need_masks=False, **options)
    return {item.code: item for item in lint(dataset, layout=find_files(root), split=split)}


def only(root, **options):
    """Return the one finding that there is."""
    found = findings_of(root, **options)
    assert len(found) == 1, found
    return next(iter(found.values()))


def test_a_clean_set_gives_no_finding(clean):
    assert findings_of(clean) == {}
    split = Split(train=("S_1_a", "S_1_b"), val=("S_2_a", "S_2_b"))
    assert findings_of(clean, split=split) == {}


def test_unpaired_files(clean):
    write_png(clean / "images" / "S_1_c.png", texture(1))
    write_png(clean / "masks" / "S_1_d.png", square())
    found = findings_of(clean)
    assert {code: (item.severity, item.files) for code, item in found.items()} == {
        "image-without-mask": ("error", ("images/S_1_c.png",)),
        "mask-without-image": ("warning", ("masks/S_1_d.png",)),
    }
    assert "1 image of 5 without a mask" in found["image-without-mask"].message
    assert "all zero" in found["image-without-mask"].fix


def test_no_masks_at_all(clean):
    for path in (clean / "masks").iterdir():
        path.unlink()
    finding = only(clean)
    assert (finding.code, finding.severity, len(finding.files)) == ("no-masks", "error", 4)
    assert "glomseg predict" in finding.fix


def test_clashing_names(clean):
    Image.fromarray(texture(5)).save(clean / "images" / "S_1_a.tif")
    finding = only(clean)
    assert (finding.code, finding.severity, finding.files) == ("name-clash", "error", ("images/S_1_a.tif",))


def bomb(path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)))


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("folder", ["images", "masks"])
@pytest.mark.parametrize(
    ("code", "harm"),
    [
        ("empty-file", lambda path: path.write_bytes(b"")),
        ("not-an-image", lambda path: path.write_text("no picture")),
        ("damaged-file", truncate),
        ("too-large", bomb),
    ],
)
def test_files_that_cannot_be_read(clean, folder, code, harm):
    harm(clean / folder / "S_1_b.png")
    finding = only(clean)
    assert (finding.code, finding.severity, finding.files) == (code, "error", (f"{folder}/S_1_b.png",))
    assert finding.message.startswith(f"1 {folder[:-1]} is ")
    assert "S_1_b.png" in finding.message
    assert finding.fix


def test_everything_broken_at_once_is_still_reported(clean):
    for path in (clean / "images").iterdir():
        path.write_bytes(b"")
    for path in (clean / "masks").iterdir():
        path.write_text("x")
    found = findings_of(clean)
    assert {code: len(item.files) for code, item in found.items()} == {"empty-file": 4, "not-an-image": 4}


def test_files_of_a_csv_that_are_not_there(clean):
    (clean / "pairs.csv").write_text("image,mask\nimages/S_1_a.png,masks/S_1_a.png\ngone_1_a.png,gone_1_a_mask.png\n")
    dataset = open_dataset(clean / "pairs.csv")
    found = lint(dataset)
    assert [(item.code, item.files) for item in found] == [
        ("missing-file", ("gone_1_a.png",)),
        ("missing-file", ("gone_1_a_mask.png",)),
    ]


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((48, 48), "a half-size export"),
        ((24, 24), "a quarter-size export"),
        ((192, 192), "an export at twice the size"),
        ((60, 60), "an export at 0.625 of the size"),
        ((96, 50), "the mask of another picture"),
    ],
)
def test_masks_of_another_size(clean, size, reason):
    mask = cv2.resize(square(), size[::-1], interpolation=cv2.INTER_NEAREST)
    write_png(clean / "masks" / "S_2_a.png", mask)
    finding = only(clean)
    assert (finding.code, finding.severity, finding.files) == ("size-mismatch", "error", ("masks/S_2_a.png",))
    assert f"'S_2_a.png' is {size[1]}x{size[0]}, its image 96x96" in finding.message
    assert reason in finding.message


def test_a_turned_mask(clean):
    add(clean, "S_2_c", texture(3)[:64], square()[:64].T)
    assert "turned by 90 degrees" in only(clean).message


def test_different_sizes_that_share_a_reason(clean):
    for name in ("S_1_a", "S_2_a"):
        write_png(clean / "masks" / f"{name}.png", square()[::2, ::2])
    assert "2 masks differ in size" in only(clean).message
    assert "all look like a half-size export" in only(clean).message


def remask(root, change):
    for path in (root / "masks").iterdir():
        write_png(path, change(np.asarray(Image.open(path))))


def test_masks_of_0_and_255(clean):
    remask(clean, lambda mask: mask * 255)
    finding = only(clean)
    assert (finding.code, finding.severity, finding.fix) == ("mask-0-255", "error", "--mask-values 0,255")
    assert len(finding.files) == 4
    assert findings_of(clean, mask_values=[0, 255]) == {}
    assert only(clean, mask_values=[0, 128]).code == "mask-0-255"  # 255 is ignored unless it is listed
    assert only(clean, classes=["a", "b", "c"]).fix == "--mask-values 0,255 --classes background,glomerulus"


def test_masks_with_an_ignored_rim_are_fine(clean):
    def rim(mask):
        mask = mask.copy()
        mask[0] = 255
        return mask

    remask(clean, rim)
    assert findings_of(clean) == {}


@pytest.mark.parametrize(
    ("value", "options", "fix"),
    [
        (2, {}, "--classes background,glomerulus,class_2"),
        (128, {}, "--mask-values 0,128"),
        (128, {"classes": ["bg", "a", "b"]}, "--mask-values 0,128 --classes bg,a"),
        (1, {"mask_values": [0, 255]}, "leave --mask-values out: the files hold class indices"),
    ],
)
def test_values_of_no_class(clean, value, options, fix):
    remask(clean, lambda mask: mask * np.uint8(value))
    found = findings_of(clean, **options)
    finding = found.pop("unknown-labels")
    assert not found
    assert (finding.severity, finding.fix, len(finding.files)) == ("error", fix, 4)
    assert f"the values {value}, which stand for no class" in finding.message


def test_several_values_of_no_class(clean):
    def three(mask):
        mask = mask * 100
        mask[70:80] = 200
        return mask

    remask(clean, three)
    assert only(clean).fix == "--mask-values 0,100,200 --classes background,glomerulus,class_2"
    values = {"mask_values": [0, 100, 200], "classes": ["background", "glomerulus", "class_2"]}
    assert findings_of(clean, **values) == {}


def test_numbered_objects_or_grey_levels(clean):
    grey = np.arange(96 * 96, dtype=np.uint32).reshape(96, 96) % 200
    write_png(clean / "masks" / "S_1_a.png", grey.astype(np.uint8))
    assert "200 different values" in only(clean).fix
    assert "and 190 more" in only(clean).message


def test_a_label_map_of_16_bits(clean):
    Image.fromarray(square().astype(np.uint16) * 1000).save(clean / "masks" / "S_1_a.png")
    assert (only(clean).code, only(clean).files) == ("colour-mask", ("masks/S_1_a.png",))
    Image.fromarray(square().astype(np.uint16)).save(clean / "masks" / "S_1_a.png")
    assert findings_of(clean) == {}


def test_a_coloured_mask(clean):
    write_png(clean / "masks" / "S_1_a.png", np.stack([square(200), square(0), square(0)], axis=-1))
    assert (only(clean).code, only(clean).severity) == ("colour-mask", "error")


def test_rgb_and_palette_masks_are_notes(clean):
    write_png(clean / "masks" / "S_1_a.png", np.stack([square()] * 3, axis=-1))
    palette = Image.fromarray(square())
    palette.putpalette([0, 0, 0, 0, 255, 0])
    palette.save(clean / "masks" / "S_1_b.png")
    found = findings_of(clean)
    assert {code: (item.severity, item.files) for code, item in found.items()} == {
        "rgb-mask": ("note", ("masks/S_1_a.png",)),
        "palette-mask": ("note", ("masks/S_1_b.png",)),
    }


def test_jpeg_masks(clean):
    Image.fromarray(square(255)).save(clean / "masks" / "S_1_a.jpg", quality=40)
    (clean / "masks" / "S_1_a.png").unlink()
    finding = only(clean)
    assert (finding.code, finding.severity, finding.files) == ("jpeg-mask", "error", ("masks/S_1_a.jpg",))
    assert "-threshold 50%" in finding.fix
    assert "1 holds values of no class" in finding.message
    Image.fromarray(square(0)).save(clean / "masks" / "S_1_a.jpg")
    assert only(clean).severity == "warning"  # an empty mask survives


def test_nothing_marked(clean):
    remask(clean, lambda mask: mask * 0)
    finding = only(clean)
    assert (finding.code, finding.severity, len(finding.files)) == ("no-foreground", "error", 4)
    assert "none of the 4 masks has a pixel of glomerulus" in finding.message


def test_a_class_that_never_occurs(clean):
    finding = only(clean, classes=["background", "glomerulus", "sclerotic"])
    assert (finding.code, finding.severity) == ("absent-class", "warning")
    assert finding.fix == "--classes background,glomerulus"


def test_specks(clean):
    mask = square()
    mask[80, 80] = 1  # 1 px of 1600: below 16
    mask[0, 0] = 1  # touches the border: the rest may lie beyond it
    mask[70:74, 70:74] = 1  # 16 px: just large enough
    write_png(clean / "masks" / "S_1_a.png", mask)
    finding = only(clean)
    assert (finding.code, finding.severity, finding.files) == ("specks", "warning", ("masks/S_1_a.png",))
    assert "1 speck of glomerulus on 1 mask: pieces below 16 px" in finding.message
    assert finding.fix.endswith("--tile S_1_a")


def test_many_specks_do_not_hide_themselves(clean):
    mask = square()
    mask[62:95:2, 1:95:2] = 1
    write_png(clean / "masks" / "S_1_a.png", mask)
    assert "799 specks" in only(clean).message


def test_exact_duplicates(clean):
    add(clean, "S_2_c", texture(zlib.crc32(b"S_1_a")))
    finding = only(clean)
    assert (finding.code, finding.severity) == ("duplicate-tiles", "warning")
    assert finding.files == ("images/S_1_a.png", "images/S_2_c.png")
    assert "2 tiles in 1 set of the same pixels: S_1_a = S_2_c" in finding.message
    assert "masks differ" not in finding.message


def test_duplicates_across_file_formats_and_with_other_masks(clean):
    Image.fromarray(texture(zlib.crc32(b"S_1_a"))).save(clean / "images" / "S_2_c.bmp")
    write_png(clean / "masks" / "S_2_c.png", square(0))
    assert "In 1 set the masks differ" in only(clean).message


def test_near_duplicates(clean):
    Image.fromarray(texture(zlib.crc32(b"S_1_a"))).save(clean / "images" / "S_2_c.jpg", quality=70)
    write_png(clean / "masks" / "S_2_c.png", square())
    finding = only(clean)
    assert (finding.code, finding.severity) == ("near-duplicate-tiles", "warning")
    assert finding.files == ("images/S_1_a.png", "images/S_2_c.jpg")


def test_duplicates_on_both_sides_of_a_split(clean):
    add(clean, "S_2_c", texture(zlib.crc32(b"S_1_a")))
    split = Split(train=("S_1_a", "S_1_b"), val=("S_2_a", "S_2_b", "S_2_c"))
    finding = only(clean, split=split)
    assert finding.severity == "error"
    assert "1 set lies in more than one part of the split" in finding.message


def test_blank_tiles_are_no_duplicates(clean):
    for name in ("S_1_c", "S_1_d", "S_2_c"):
        add(clean, name, np.full((96, 96, 3), 243, np.uint8), square(0))
    assert findings_of(clean) == {}


def test_a_group_in_two_parts(clean):
    split = Split(train=("S_1_a", "S_2_a"), val=("S_1_b", "S_2_b"))
    finding = only(clean, split=split)
    assert (finding.code, finding.severity, len(finding.files)) == ("group-in-two-parts", "error", 4)
    assert finding.fix == f"glomseg split {clean} --by group"
    declared = Split(train=("S_1_a",), val=("S_1_b",), by="tile", leaking_groups=("S_1",))
    assert only(clean, split=declared).severity == "warning"


def test_a_split_of_another_data_set(clean):
    finding = only(clean, split=Split(train=("S_1_a", "x"), val=("y",)))
    assert (finding.code, finding.severity, finding.files) == ("split-of-other-tiles", "error", ("x", "y"))


def test_names_that_hide_their_group(tmp_path):
    add(tmp_path, "tile1")
    assert findings_of(tmp_path) == {}  # one tile needs no group
    add(tmp_path, "tile2")
    finding = only(tmp_path)
    assert (finding.code, finding.severity) == ("no-groups", "warning")
    assert finding.fix.startswith("--group-pattern ")
    assert findings_of(tmp_path, group_pattern="(.)$") == {}
    assert only(tmp_path, group_pattern="^(tile)").code == "one-group"


def resave(root, name, image):
    image.save(root / "images" / name)


@pytest.mark.parametrize(
    ("mode", "suffix", "code", "severity"),
    [
        ("L", "png", "grey-image", "warning"),
        ("LA", "png", "grey-image", "warning"),
        ("1", "png", "grey-image", "warning"),
        ("RGBA", "png", "transparent-image", "note"),
        ("P", "png", "palette-image", "warning"),
        ("CMYK", "tif", "cmyk-image", "warning"),
    ],
)
def test_images_that_are_not_plain_rgb(clean, mode, suffix, code, severity):
    path = clean / "images" / "S_1_a.png"
    image = Image.fromarray(texture(zlib.crc32(b"S_1_a"))).convert(mode)
    path.unlink()
    image.save(path.with_suffix(f".{suffix}"))
    finding = only(clean)
    assert (finding.code, finding.severity, finding.files) == (code, severity, (f"images/S_1_a.{suffix}",))
    assert "1 image of 4" in finding.message


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_16_bits(clean, channels):
    deep = texture(1).astype(np.uint16)[..., :channels].squeeze() * 257
    cv2.imwrite(str(clean / "images" / "S_1_a.png"), deep)
    finding = only(clean)
    assert (finding.code, finding.severity, finding.files) == ("sixteen-bit-image", "error", ("images/S_1_a.png",))
    assert finding.fix == "export them as 8-bit RGB"


def test_the_worst_comes_first_and_names_stay_whole(clean):
    resave(clean, "S_1_a.png", Image.fromarray(texture(1)).convert("RGBA"))
    write_png(clean / "masks" / "S 1_肾\n_a.png", square())
    (clean / "images" / "S_2_a.png").write_bytes(b"")
    dataset = open_dataset(clean, need_masks=False)
    found = lint(dataset, layout=find_files(clean))
    assert [item.severity for item in found] == ["error", "warning", "note"]
    assert found[1].files == ("masks/S 1_肾\n_a.png",)


def test_the_survey_counts_as_scanning_does(clean):
    write_png(clean / "masks" / "S_1_a.png", np.where(square() == 1, 1, 255).astype(np.uint8))
    dataset = open_dataset(clean)
    reports = []
    surveys = survey_tiles(dataset, progress=lambda done, total, note="": reports.append((done, total)))
    assert statistics_of(surveys) == scan_masks(dataset)
    assert reports[-1] == (4, 4)
    assert lint(dataset, surveys=surveys) == ()


@pytest.mark.real
def test_tissue_is_clean(shared_data):
    assert findings_of(shared_data / "aidpath_pas") == {}
    assert set(findings_of(shared_data / "dsb2018_purple")) == {"no-groups"}
