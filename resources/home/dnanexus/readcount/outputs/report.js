"use strict";
// Each table can be sorted by its columns; the filter applies to all tables on the page.
const byName = new Intl.Collator("en", { numeric: true }).compare;
const tables = [...document.querySelectorAll("table")];
const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);

// data-value is the sort key of a cell, if different from its text.
const valueOf = (cell, isText) => {
  const text = cell.dataset.value ?? cell.textContent.trim();
  return isText ? text : text === "–" ? -Infinity : Number(text.replaceAll(",", ""));
};

for (const table of tables) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];

  const sortBy = (column, direction) => {
    const isText = headings[column].classList.contains("name");
    const sign = direction === "ascending" ? 1 : -1;
    const sorted = [...body.rows];
    const keys = new Map(sorted.map((row) => [row, valueOf(row.cells[column], isText)]));
    const byNumber = (a, b) => (a === b ? 0 : a - b);
    const compare = isText ? byName : byNumber;
    sorted.sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
    body.append(...sorted);
  };

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const other = { ascending: "descending", descending: "ascending" };
      const first = heading.dataset.first ?? (column < 2 ? "ascending" : "descending");
      const direction = other[heading.getAttribute("aria-sort")] ?? first;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      sortBy(column, direction);
    });
  });
}

const filter = document.getElementById("filter");
const found = document.getElementById("found");
const nameOf = new Map(rows.map((row) => [row, row.cells[1].textContent.toLowerCase()]));
const show = () => {
  const wanted = filter.value.trim().toLowerCase();
  let shown = 0;
  for (const row of rows) {
    row.hidden = !nameOf.get(row).includes(wanted);
    shown += row.hidden ? 0 : 1;
  }
  for (const part of document.querySelectorAll("details:has(table)")) {
    part.open = part.hasAttribute("data-open") || wanted !== "";
    part.hidden = !part.querySelector("tbody tr:not([hidden])");
  }
  found.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
};
filter.addEventListener("input", show);
filter.parentElement.hidden = false;
show();
