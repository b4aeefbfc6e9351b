// The reader's list: tiles ticked as wrongly labelled or to be fixed, with a note; saved as CSV.

class Review {
  constructor(page) {
    this.key = `glomseg-review-${page.key}`;
    this.tiles = page.tiles;
    this.file = page.review_file;
    this.marks = new Map();
    this.listeners = [];
    try {
      // Where a file may store nothing (a private window, some browsers) the list lives until the page is closed.
      this.marks = new Map(JSON.parse(localStorage.getItem(this.key) ?? "[]"));
    } catch {
      this.marks = new Map();
    }
  }

  of(tile) {
    return this.marks.get(tile.name) ?? { wrong: false, fix: false, note: "" };
  }

  has(tile) {
    return this.marks.has(tile.name);
  }

  set(tile, change) {
    const mark = { ...this.of(tile), ...change };
    if (mark.wrong || mark.fix || mark.note.trim()) this.marks.set(tile.name, mark);
    else this.marks.delete(tile.name);
    try {
      localStorage.setItem(this.key, JSON.stringify([...this.marks]));
    } catch {
      // Kept in memory, then.
    }
    this.listeners.forEach((listener) => listener(tile));
  }

  csv() {
    const rows = this.tiles
      .filter((tile) => this.has(tile))
      .map((tile) => {
        const mark = this.of(tile);
        return [tile.name, tile.group, mark.wrong ? "yes" : "", mark.fix ? "yes" : "", mark.note.trim()];
      });
    const lines = [["tile", "group", "wrong_label", "fix", "note"], ...rows].map((row) => row.map(csvCell).join(","));
    return `\ufeff${lines.join("\r\n")}\r\n`; // the mark tells spreadsheets that it is UTF-8
  }

  save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    link.download = this.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}

function csvCell(text) {
  // A spreadsheet would run a cell that begins like this as a formula.
  const safe = /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
