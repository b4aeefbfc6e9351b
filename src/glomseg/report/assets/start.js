// Puts the page together, and listens to the keyboard.

function isTyping(target) {
  return target.matches("textarea, select, input:not([type=checkbox])");
}

function listenToKeys(gallery) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const { viewer } = gallery;
    const { key } = event;
    let isOurs = true;
    if (/^[1-9]$/.test(key)) gallery.showNumber(Number(key));
    else if (key === "/" && !viewer.isOpen) gallery.fields.search.focus();
    else if (viewer.isOpen && key === "ArrowLeft") viewer.step(-1);
    else if (viewer.isOpen && key === "ArrowRight") viewer.step(1);
    else if (viewer.isOpen && (key === "w" || key === "f")) viewer.toggle(key === "w" ? "wrong" : "fix");
    else if (!viewer.isOpen && key.startsWith("Arrow")) isOurs = gallery.move(key);
    else isOurs = false;
    if (isOurs) event.preventDefault();
  });
}

// Puts the pictures of single tiles, such as those of near-duplicates, where the page has room for them.
function fillFrames(page) {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) target.src = page.tiles[Number(target.dataset.tile)].image;
      }
    },
    { rootMargin: "400px" },
  );
  for (const image of document.querySelectorAll("img[data-tile]")) observer.observe(image);
}

const page = JSON.parse(document.getElementById("page-data").textContent);
document.querySelectorAll("table.sortable").forEach(makeSortable);
if (page.tiles.length) listenToKeys(new Gallery(page, new Review(page)));
fillFrames(page);
