// The group microscope: who was compared with whom, and what came of it.

function microscope(run) {
  const kept = run.groups;
  const body = el("div", {});
  const widest = (line) => line.groups.map((of) => spread(of.return)).reduce((best, x, i, all) => (x > all[best] ? i : best), 0);
  const state = { at: kept.length - 1, group: widest(kept[kept.length - 1]) };
  const slider = el("input", { type: "range", min: 0, max: kept.length - 1, value: state.at, "aria-label": "Update" });
  const label = el("span", {});
  const choice = el("select", { "aria-label": "Group" });
  slider.addEventListener("input", () => { state.at = +slider.value; show(); });
  choice.addEventListener("change", () => { state.group = +choice.value; show(); });

  function show() {
    const line = kept[state.at];
    const shown = line.groups.length;
    state.group = Math.min(state.group, shown - 1);
    const said = `update ${line.update.toLocaleString("en")}, ${steps(line.step)} steps`;
    label.textContent = said;
    slider.setAttribute("aria-valuetext", said);
    choice.replaceChildren(...line.groups.map((of, i) =>
      el("option", { value: i, selected: i === state.group }, `group ${i + 1}, spread ${number(spread(of.return))}`)));
    const rest = line.num_groups > shown ? `; the first ${shown} of ${line.num_groups} groups are kept` : "";
    body.replaceChildren(
      el("p", { class: "dim" }, "Every group on the scale of all: a mark is an episode, with a positive advantage ",
        el("span", { class: "win" }, "▲ reinforced"), ", negative ", el("span", { class: "loss" }, "▼ weakened"), `${rest}.`),
      strip(line, state.group), el("div", { class: "two" }, members(line.groups[state.group]), wins(line.groups[state.group])));
  }
  show();
  return el("div", {}, el("div", { class: "row" }, slider, label, choice), body);
}

function spread(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
}

// One row a group, one mark a member, at its return.
function strip(line, chosen) {
  const all = line.groups.flatMap((of) => of.return);
  const low = Math.min(...all), width = Math.max(...all) - low || 1;
  const x = (value) => 3 + 94 * ((value - low) / width);
  const rows = line.groups.map((of, i) => {
    const y = 14 + 26 * i;
    const marks = of.return.map((value, j) => svg("text", {
      x: `${x(value)}%`, y: y + 4, "text-anchor": "middle",
      class: of.advantage[j] > 0 ? "win" : of.advantage[j] < 0 ? "loss" : "",
      style: `fill: var(--${of.advantage[j] > 0 ? "good" : of.advantage[j] < 0 ? "bad" : "dim"})`,
    }, of.advantage[j] > 0 ? "▲" : of.advantage[j] < 0 ? "▼" : "●"));
    const [from, to] = [Math.min(...of.return), Math.max(...of.return)];
    return svg("g", { "stroke-opacity": i === chosen ? 1 : 0.4 },
      svg("line", { x1: `${x(from)}%`, x2: `${x(to)}%`, y1: y, y2: y, stroke: i === chosen ? "var(--accent)" : "var(--line)", "stroke-width": i === chosen ? 4 : 2 }), marks);
  });
  const height = 26 * line.groups.length + 22;
  const said = line.groups.map((of, i) => `group ${i + 1}: ${of.return.map(number).join(", ")}`).join("; ");
  return svg("svg", { height, width: "100%", role: "img", "aria-label": `Returns: ${said}` }, rows,
    svg("text", { x: "3%", y: height - 4 }, number(low)),
    svg("text", { x: "97%", y: height - 4, "text-anchor": "end" }, `return ${number(low + width)}`));
}

function members(of) {
  const mean = of.return.reduce((a, b) => a + b, 0) / of.return.length;
  const order = of.return.map((_, i) => i).sort((a, b) => of.return[b] - of.return[a]);
  const rows = order.map((i) => el("tr", {},
    el("td", {}, `${i + 1}`), el("td", {}, number(of.return[i])), el("td", {}, signed(of.return[i] - mean)),
    el("td", {}, number(of.steps[i])), el("td", { class: tone(of.advantage[i]) }, signed(of.advantage[i]))));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Episodes of the group" },
    el("h3", {}, "Episode by episode"), table(["episode", "return", "beside the mean", "steps", "mean advantage"], rows));
}

// Cell (i, j): by how much episode i did better than episode j.
function wins(of) {
  const names = of.return.map((_, i) => `${i + 1}`);
  const rows = of.return.map((mine, i) => el("tr", {}, el("th", { scope: "row" }, names[i]),
    of.return.map((yours, j) => i === j ? el("td", { class: "dim" }, "·")
      : el("td", { class: tone(mine - yours) }, mine === yours ? "=" : signed(mine - yours)))));
  const box = table(["beats", ...names], rows);
  box.classList.add("wins");
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Who beat whom" },
    el("h3", {}, "Who beat whom, and by how much"), box);
}

const tone = (x) => (x > 0 ? "win" : x < 0 ? "loss" : "dim");
const signed = (x) => (x > 0 ? `+${number(x)}` : number(x));

function table(header, rows, texts = []) {
  const cells = header.map((name, i) => el("th", { scope: "col", class: texts.includes(i) ? "text" : null }, name));
  return el("table", {}, el("thead", {}, el("tr", {}, cells)), el("tbody", {}, rows));
}
