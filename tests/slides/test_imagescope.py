import numpy as np
import pytest

from glomseg.errors import InvalidInputError, UnsafeFileError
from glomseg.slides.annotations import read_annotations


def region(points, *, kind=0, negative=0, text=""):
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    return (
        f'<Region Id="1" Type="{kind}" NegativeROA="{negative}" Text="{text}"><Attributes/>'
        f"<Vertices>{vertices}</Vertices></Region>"
    )


def layer(*regions, name="", description=""):
    return (
        f'<Annotation Id="1" Name="{name}" LineColor="65280"><Attributes>'
        f'<Attribute Name="Description" Id="0" Value="{description}"/></Attributes>'
        f"<Regions><RegionAttributeHeaders/>{''.join(regions)}</Regions></Annotation>"
    )


def file_of(*layers):
    return f'<?xml version="1.0"?>\n<Annotations MicronsPerPixel="0.25">{"".join(layers)}</Annotations>'


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "slide.xml"
    path.write_bytes(text.encode(encoding))
    return read_annotations(path)


SQUARE = [(0, 0), (20, 0), (20, 20), (0, 20)]
INNER = [(5, 5), (10, 5), (10, 10), (5, 10)]


def test_layers_are_classes_and_texts_are_names(tmp_path):
    items = read(
        tmp_path,
        file_of(
            layer(region(SQUARE, text="first"), region(INNER), name="Glomerulus"),
            layer(region(SQUARE), description="sclerotic"),
            layer(region(SQUARE)),
            layer(name="empty"),
        ),
    )
    assert [item.class_name for item in items] == ["Glomerulus", "Glomerulus", "sclerotic", None]
    assert [item.name for item in items] == ["first", None, None, None]
    assert [item.outline.area for item in items] == [400, 25, 400, 400]


def test_negative_regions_are_holes_in_their_layer_only(tmp_path):
    first, second = read(
        tmp_path, file_of(layer(region(INNER, negative=1), region(SQUARE), name="a"), layer(region(SQUARE), name="b"))
    )
    assert first.outline.area == 375
    assert len(first.outline.geoms[0].interiors) == 1
    assert second.outline.area == 400


def test_rectangles_ellipses_and_shapes_without_area(tmp_path):
    items = read(
        tmp_path,
        file_of(
            layer(
                region([(0, 0), (20, 10)], kind=1),
                region(SQUARE, kind=1),
                region([(0, 0), (20, 10)], kind=2),
                region([(0, 0), (20, 10)], kind=4),
                region([(0, 0), (20, 10)]),
                region([]),
            )
        ),
    )
    areas = [item.outline.area for item in items]
    assert areas == pytest.approx([200, 400, np.pi * 50, 0, 0, 0], rel=2e-4)


def test_utf_16_and_a_self_crossing_outline(tmp_path):
    text = file_of(layer(region([(0, 0), (10, 10), (10, 0), (0, 10)]), name="肾小球")).replace(
        '"1.0"', '"1.0" encoding="utf-16"'
    )
    (item,) = read(tmp_path, text, encoding="utf-16")
    assert (item.class_name, item.repaired) == ("肾小球", True)


LAUGHS = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Annotations>&b;</Annotations>"""
FOREIGN = """<!DOCTYPE x [<!ENTITY file SYSTEM "file:///etc/passwd">]><Annotations>&file;</Annotations>"""


@pytest.mark.parametrize("text", [LAUGHS, FOREIGN, '<!DOCTYPE Annotations SYSTEM "a.dtd"><Annotations/>'])
def test_a_document_type_is_refused(tmp_path, text):
    with pytest.raises(UnsafeFileError, match=r"slide\.xml' declares a document type"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html></html>", "outermost element is 'html'"),
        ("<Annotations>", "no element found"),
        ("<Annotations>&x;</Annotations>", "undefined entity"),
        ("<Annotations>" + "<a>" * 100 + "</a>" * 100 + "</Annotations>", "more than 32 elements"),
        ('<?xml version="1.0" encoding="martian"?><Annotations/>', "is no XML of ImageScope"),
        (file_of(layer(region([("a", 1), (2, 2), (3, 3)]))), "region 1 has a vertex whose X or Y"),
        (
            file_of(layer("<Region><Vertices><Vertex/></Vertices></Region>")),
            "region 1 has a coordinate that is not a number",
        ),
        (file_of(layer(region([("nan", 1), (2, 2), (3, 3)]))), "is not a number or beyond"),
        (file_of(layer(region([("inf", 1), (2, 2), (3, 3)]))), "is not a number or beyond"),
    ],
)
def test_hostile_content(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message) as raised:
        read(tmp_path, text)
    assert "slide.xml" in str(raised.value)
