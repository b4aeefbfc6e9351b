// The tiles: sorted, filtered and searched; a picture is decoded only while it is near the window.

const N_PRINTED = 24;

class Gallery {
  constructor(page, review) {
    this.page = page;
    this.review = review;
    this.root = document.getElementById("tiles");
    this.grid = this.root.querySelector(".grid");
    this.status = this.root.querySelector("[role=status]");
    this.empty = this.root.querySelector(".nothing");
    this.fields = Object.fromEntries(
      ["sort", "group", "kind", "search", "opacity"].map((name) => [name, this.root.querySelector(`[name="${name}"]`)]),
    );
    this.viewer = new Viewer(page, review, {
      onView: (view) => this.show(view),
      onClose: (tile) => this.cards.get(tile)?.focus(),
    });
    this.tabs = addViewButtons(this.root.querySelector(".views"), page.views, (view) => this.show(view));
    this.cards = new Map(page.tiles.map((tile) => [tile, this.makeCard(tile)]));
    this.tileOf = new Map([...this.cards].map(([tile, card]) => [card, tile]));
    this.near = new Set();
    this.observer = new IntersectionObserver((entries) => entries.forEach((entry) => this.onNear(entry)), {
      rootMargin: "400px",
    });
    this.cards.forEach((card) => this.observer.observe(card));
    for (const name of ["sort", "group", "kind", "search"]) {
      this.fields[name].addEventListener("input", () => this.arrange());
    }
    for (const slider of document.querySelectorAll('[name="opacity"]')) {
      slider.addEventListener("input", () => this.fade(slider.value));
    }
    this.saveButton = this.root.querySelector('[data-do="save"]');
    this.saveButton.addEventListener("click", () => review.save());
    review.listeners.push((tile) => this.onMark(tile));
    page.tiles.forEach((tile) => this.onMark(tile));
    this.show(page.views.at(-1).key);
    this.arrange();
  }

  makeCard(tile) {
    const stage = element("span", { class: "stage" }, element("img", { alt: "" }), element("canvas", {}));
    stage.style.setProperty("--ratio", tile.width / tile.height);
    const name = element("span", { class: "name", title: tile.name }, tile.name);
    const line = element("span", { class: "line" }, tile.line);
    const card = element("button", { type: "button", class: "card" }, stage, name, line);
    card.setAttribute("aria-label", [tile.name, tile.group, tile.line].join(", "));
    card.addEventListener("click", () => this.viewer.open(this.shown, this.shown.indexOf(tile)));
    return card;
  }

  onNear({ target, isIntersecting }) {
    if (isIntersecting) {
      this.near.add(target);
      this.decode(target);
    } else {
      this.near.delete(target);
      this.release(target);
    }
  }

  // What would be printed stays decoded: a page about to be printed waits for nothing.
  isWanted(card) {
    return this.near.has(card) || card.matches(".printed");
  }

  release(card) {
    if (this.isWanted(card)) return;
    card.querySelector("img").removeAttribute("src");
    card.querySelector("canvas").width = 0;
  }

  decode(card) {
    const tile = this.tileOf.get(card);
    const { view } = this;
    if (tile.image) card.querySelector("img").src = tile.image;
    paint(card.querySelector("canvas"), tile, view, this.page, () => this.view === view && this.isWanted(card));
  }

  show(view) {
    this.view = view;
    pressViewButton(this.tabs, view);
    this.viewer.show(view);
    showLegend(this.root.querySelector(".legend"), this.page, view);
    this.tileOf.forEach((_, card) => this.isWanted(card) && this.decode(card));
  }

  showNumber(number) {
    const view = this.page.views[number - 1];
    if (view) this.show(view.key);
  }

  fade(value) {
    document.documentElement.style.setProperty("--opacity", value / 100);
    for (const slider of document.querySelectorAll('[name="opacity"]')) slider.value = value;
  }

  onMark(tile) {
    const mark = this.review.of(tile);
    const words = [mark.wrong && "wrong label", mark.fix && "fix", mark.note.trim() && "note"].filter(Boolean);
    const card = this.cards.get(tile);
    card.querySelector(".mark")?.remove();
    if (words.length) card.append(element("span", { class: "mark" }, words.join(", ")));
    const count = this.review.marks.size;
    this.saveButton.disabled = count === 0;
    this.saveButton.textContent = count ? `Save list (${count})` : "Save list";
  }

  arrange() {
    const { sort, group, kind, search } = this.fields;
    const query = search.value.trim().toLowerCase();
    const order = this.page.sorts.find((item) => item.key === sort.value);
    this.shown = this.page.tiles.filter(
      (tile) =>
        (!group.value || tile.group === group.value) &&
        (!kind.value || tile.kinds.includes(kind.value) || (kind.value === "marked" && this.review.has(tile))) &&
        (!query || `${tile.name}\n${tile.group}`.toLowerCase().includes(query)),
    );
    const last = order.is_ascending ? Infinity : -Infinity; // where a tile has no such value
    const valueOf = (tile) => tile.values[order.key] ?? last;
    this.shown.sort((a, b) => {
      const [first, second] = order.is_name ? [0, 0] : [valueOf(a), valueOf(b)];
      if (first === second) return a.name < b.name ? -1 : 1;
      return first < second === order.is_ascending ? -1 : 1;
    });
    const cards = this.shown.map((tile) => this.cards.get(tile));
    this.grid.replaceChildren(...cards);
    const printed = new Set(cards.slice(0, N_PRINTED));
    for (const card of this.tileOf.keys()) {
      const wasPrinted = card.classList.contains("printed");
      card.tabIndex = card === cards[0] ? 0 : -1; // one stop for the tab key; arrows do the rest
      card.classList.toggle("printed", printed.has(card));
      if (printed.has(card) && !wasPrinted) this.decode(card);
      else if (wasPrinted) this.release(card);
    }
    this.empty.hidden = cards.length > 0;
    this.status.textContent = `${cards.length} of ${this.page.tiles.length} tiles`;
  }

  // Moves the focus among the cards; says whether there was one to move.
  move(key) {
    const cards = [...this.grid.children];
    const at = cards.indexOf(document.activeElement);
    if (at < 0) return false;
    const columns = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    const next = cards[at + by];
    if (!next) return true;
    cards[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    return true;
  }
}
