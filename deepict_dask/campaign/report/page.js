"use strict";
(() => {
  const table = document.getElementById("table");
  if (table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const heads = Array.from(table.tHead.rows[0].cells);
    const value = (row, column) => row.cells[column].dataset.v || "";
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const isNumber = head.classList.contains("num");
        const before = head.getAttribute("aria-sort");
        // Numbers are looked at from the largest, words from A.
        const descending = before ? before === "ascending" : isNumber;
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const number = (row) => {
          const text = value(row, column);
          return text === "-inf" ? -Infinity : Number(text);
        };
        const compare = isNumber
          ? (a, b) => { const x = number(a), y = number(b); return x < y ? -1 : x > y ? 1 : 0; }
          : (a, b) => value(a, column).localeCompare(value(b, column), "en", { numeric: true });
        rows.sort((a, b) => (descending ? -compare(a, b) : compare(a, b)) || a.dataset.i - b.dataset.i);
        body.append(...rows);
      });
    });
    const filter = document.getElementById("filter");
    const shown = document.getElementById("shown");
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        n += !row.hidden;
      }
      shown.textContent = words.length ? `${n} of ${rows.length}` : "";
    });
  }
  for (const image of document.querySelectorAll(".gallery img")) {
    image.addEventListener("click", () => image.closest("figure").classList.toggle("zoomed"));
  }
})();
