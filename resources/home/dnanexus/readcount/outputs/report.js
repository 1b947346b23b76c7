"use strict";
const table = document.querySelector("table");
const body = table.tBodies[0];
const rows = [...body.rows];
const names = rows.map((row) => row.cells[1].textContent.toLowerCase());
const byName = new Intl.Collator("en", { numeric: true }).compare;

const valueOf = (row, column) => {
  const text = row.cells[column].textContent.trim();
  return column === 1 ? text : text === "–" ? -1 : Number(text.replaceAll(",", ""));
};

const sortBy = (column, direction) => {
  const sign = direction === "ascending" ? 1 : -1;
  const keys = new Map(rows.map((row) => [row, valueOf(row, column)]));
  const compare = column === 1 ? byName : (a, b) => a - b;
  rows.sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
  body.append(...rows);
};

const headings = [...table.tHead.rows[0].cells];
headings.forEach((heading, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const other = { ascending: "descending", descending: "ascending" };
    const first = column < 2 ? "ascending" : "descending";
    const direction = other[heading.getAttribute("aria-sort")] ?? first;
    headings.forEach((each) => each.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
    sortBy(column, direction);
  });
});

const filter = document.getElementById("filter");
const found = document.getElementById("found");
const nameOf = new Map(rows.map((row, number) => [row, names[number]]));
const show = () => {
  const wanted = filter.value.trim().toLowerCase();
  let shown = 0;
  for (const row of rows) {
    row.hidden = !nameOf.get(row).includes(wanted);
    shown += row.hidden ? 0 : 1;
  }
  found.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
};
filter.addEventListener("input", show);
filter.parentElement.hidden = false;
show();
