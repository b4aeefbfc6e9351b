// Tables that are sorted by a click on a column's head: numbers as numbers, words as words.

function makeSortable(table) {
  const body = table.tBodies[0];
  for (const head of table.tHead.rows[0].cells) {
    const button = element("button", { type: "button" }, head.textContent.trim());
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const isDown = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      const valueOf = (row) => {
        const cell = row.cells[head.cellIndex];
        return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value || "-Infinity");
      };
      const rows = [...body.rows].sort((a, b) => {
        const [first, second] = [valueOf(a), valueOf(b)];
        return first === second ? 0 : (first < second) === isDown ? 1 : -1;
      });
      body.append(...rows);
    });
  }
}
