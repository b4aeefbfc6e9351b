// Masks: unpacked from the page's text, and painted over a picture in the colours of what is to be seen.

const IGNORED = 255;
const FILL = 120; // of 255: the tint; outlines are opaque, and the slider fades both

async function planesOf(tile) {
  const packed = Uint8Array.from(atob(tile.masks), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = tile.width * tile.height;
  return { truth: bytes.subarray(0, size), prediction: bytes.subarray(size, 2 * size) };
}

// What became of a pixel; null where there is nothing to colour.
function outcomeOf(truth, prediction) {
  if (truth === IGNORED) return "ignored";
  if (truth === prediction) return truth === 0 ? null : "found";
  if (truth === 0) return "invented";
  return prediction === 0 ? "missed" : "confused";
}

// Returns for each pixel of a view the [red, green, blue] that it is painted in, or null.
function colorsOf(view, { truth, prediction }, page) {
  if (view === "errors") {
    return (at) => {
      const outcome = outcomeOf(truth[at], prediction[at]);
      return outcome === null ? null : page.outcomes[outcome].color;
    };
  }
  const plane = view === "truth" ? truth : prediction;
  return (at) => {
    if (plane[at] === 0) return null;
    return plane[at] === IGNORED ? page.outcomes.ignored.color : page.classes[plane[at]].color;
  };
}

// Paints a view of a tile on a canvas; `isCurrent` says, once the mask is unpacked, whether it is still wanted.
async function paint(canvas, tile, view, page, isCurrent) {
  if (view === "image" || !tile.masks) {
    canvas.width = canvas.height = 0;
    return;
  }
  const planes = await planesOf(tile);
  if (!isCurrent()) return;
  const { width, height } = tile;
  const colorAt = colorsOf(view, planes, page);
  const picture = new ImageData(width, height);
  const colors = Array.from({ length: width * height }, (_, at) => colorAt(at));
  for (let at = 0; at < colors.length; at += 1) {
    const color = colors[at];
    if (color === null) continue;
    const column = at % width;
    // The border of the tile itself is no outline: an object that is cut off there does not end there.
    const isEdge =
      (column > 0 && colors[at - 1] !== color) ||
      (column < width - 1 && colors[at + 1] !== color) ||
      (at >= width && colors[at - width] !== color) ||
      (at < colors.length - width && colors[at + width] !== color);
    picture.data.set([...color, isEdge ? 255 : FILL], 4 * at);
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
