
// Shows the names of dots and cells on hover and focus. A click on a dot finds the sample in the table.
const tipOf = (plot) => plot.querySelector(".tip");
const showTip = (plot, text, x, y) => {
  const tip = tipOf(plot);
  tip.textContent = text;
  tip.hidden = false;
  const width = plot.clientWidth;
  tip.style.left = `${Math.max(0, Math.min(x + 12, width - tip.offsetWidth))}px`;
  tip.style.top = `${Math.max(0, y - tip.offsetHeight - 8)}px`;
};
const lookUp = (name) => {
  filter.value = name;
  show();
  document.getElementById("table").scrollIntoView();
};

for (const svg of document.querySelectorAll("svg.dots[role=group]")) {
  const plot = svg.parentElement;
  const dots = [...svg.querySelectorAll("circle[role]")].sort(
    (a, b) => a.cx.baseVal.value - b.cx.baseVal.value || b.cy.baseVal.value - a.cy.baseVal.value,
  );
  const titles = new Map(dots.map((dot) => [dot, dot.querySelector("title").textContent]));
  const tell = (dot) => {
    const box = dot.getBoundingClientRect();
    const own = plot.getBoundingClientRect();
    showTip(plot, titles.get(dot), box.right - own.left - 8, box.top - own.top);
  };
  const hide = () => {
    tipOf(plot).hidden = true;
  };
  dots.forEach((dot, number) => {
    // The plot is one tab stop; arrow keys move from dot to dot.
    dot.setAttribute("tabindex", number ? "-1" : "0");
    dot.setAttribute("role", "button");
    dot.setAttribute("aria-label", titles.get(dot));
    dot.querySelector("title").remove();
    dot.addEventListener("pointerenter", () => tell(dot));
    dot.addEventListener("pointerleave", hide);
    dot.addEventListener("focus", () => tell(dot));
    dot.addEventListener("blur", hide);
    dot.addEventListener("click", () => lookUp(dot.dataset.name));
    dot.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      const places = { Home: 0, End: dots.length - 1 };
      const to = places[event.key] ?? number + (steps[event.key] ?? NaN);
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        lookUp(dot.dataset.name);
      } else if (dots[to]) {
        event.preventDefault();
        dot.setAttribute("tabindex", "-1");
        dots[to].setAttribute("tabindex", "0");
        dots[to].focus();
      }
    });
  });
}

for (const data of document.querySelectorAll("script[type='application/json']")) {
  const { names, chromosomes, shifts } = JSON.parse(data.textContent);
  const plot = data.parentElement;
  const heat = plot.querySelector("svg");
  heat.addEventListener("pointermove", (event) => {
    const box = heat.getBoundingClientRect();
    const at = (value, size, number) =>
      Math.min(number - 1, Math.max(0, Math.floor((value / size) * number)));
    const row = at(event.clientY - box.top, box.height, names.length);
    const column = at(event.clientX - box.left, box.width, chromosomes.length);
    const shift = shifts[row][column];
    const times = shift === null ? "not compared" : `${(2 ** (shift / 100)).toFixed(2)} times`;
    const text = `${names[row]}, ${chromosomes[column]}: ${times}`;
    showTip(plot, text, event.clientX - box.left, event.clientY - box.top);
  });
  heat.addEventListener("pointerleave", () => {
    tipOf(plot).hidden = true;
  });
}
