// One tile, large: in a dialog, with its figures and the reader's marks.

class Viewer {
  constructor(page, review, { onView, onClose }) {
    this.page = page;
    this.review = review;
    this.dialog = document.getElementById("viewer");
    this.stage = this.dialog.querySelector(".stage");
    this.image = this.stage.querySelector("img");
    this.canvas = this.stage.querySelector("canvas");
    this.tiles = [];
    this.position = 0;
    this.view = "image";
    const button = (name) => this.dialog.querySelector(`[data-do="${name}"]`);
    button("previous").addEventListener("click", () => this.step(-1));
    button("next").addEventListener("click", () => this.step(1));
    button("close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => onClose(this.tile));
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // beside the window
    });
    this.tabs = addViewButtons(this.dialog.querySelector(".views"), page.views, onView);
    this.marks = {};
    for (const name of ["wrong", "fix", "note"]) {
      const field = this.dialog.querySelector(`[name="${name}"]`);
      this.marks[name] = field;
      field.addEventListener("input", () => {
        review.set(this.tile, { [name]: field.type === "checkbox" ? field.checked : field.value });
      });
    }
  }

  get tile() {
    return this.tiles[this.position];
  }

  get isOpen() {
    return this.dialog.open;
  }

  open(tiles, position) {
    this.tiles = tiles;
    this.position = position;
    this.dialog.showModal();
    this.draw();
  }

  step(by) {
    const position = this.position + by;
    if (position < 0 || position >= this.tiles.length) return;
    this.position = position;
    this.draw();
  }

  show(view) {
    this.view = view;
    pressViewButton(this.tabs, view);
    if (this.isOpen) this.draw();
  }

  toggle(name) {
    this.marks[name].click();
  }

  draw() {
    const { tile, view } = this;
    this.dialog.querySelector("h3").textContent = tile.name;
    this.dialog.querySelector(".where").textContent =
      `${tile.group} · ${this.position + 1} of ${this.tiles.length}`;
    this.image.hidden = !tile.image;
    this.image.src = tile.image;
    this.image.alt = `Tile ${tile.name}`;
    this.stage.style.setProperty("--ratio", tile.width / tile.height);
    this.dialog.querySelector('[data-do="previous"]').disabled = this.position === 0;
    this.dialog.querySelector('[data-do="next"]').disabled = this.position === this.tiles.length - 1;
    const facts = this.dialog.querySelector(".facts");
    facts.replaceChildren(
      ...tile.facts.flatMap(([label, text]) => [element("dt", {}, label), element("dd", {}, text)]),
    );
    const mark = this.review.of(tile);
    this.marks.wrong.checked = mark.wrong;
    this.marks.fix.checked = mark.fix;
    this.marks.note.value = mark.note;
    showLegend(this.dialog.querySelector(".legend"), this.page, view);
    paint(this.canvas, tile, view, this.page, () => this.tile === tile && this.view === view);
  }
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function addViewButtons(place, views, onView) {
  const buttons = views.map((view, index) => {
    const button = element("button", { type: "button", "data-view": view.key, "aria-pressed": "false" });
    button.append(view.label, element("kbd", { "aria-hidden": "true" }, String(index + 1)));
    button.addEventListener("click", () => onView(view.key));
    return button;
  });
  place.append(...buttons);
  return buttons;
}

function pressViewButton(buttons, view) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.view === view));
}

function showLegend(place, page, view) {
  const entries = { image: [], errors: Object.values(page.outcomes).filter((outcome) => outcome.is_used) }[view];
  const shown = entries ?? page.classes.slice(1);
  place.replaceChildren(
    ...shown.map(({ color, name }) => {
      const swatch = element("i", { "aria-hidden": "true" });
      swatch.style.background = `rgb(${color.join(" ")})`;
      return element("li", {}, swatch, name);
    }),
  );
}
