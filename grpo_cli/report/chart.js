// Elements, numbers, and charts that share their steps: one is zoomed or pointed at, all follow.

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function number(x) {
  if (x === null || x === undefined) return "-";
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return x.toExponential(2);
  return x.toLocaleString("en", { maximumFractionDigits: size >= 1000 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4 });
}
const steps = (x) =>
  Math.abs(x) >= 1e6 ? `${+(x / 1e6).toPrecision(3)}M` : Math.abs(x) >= 1e4 ? `${+(x / 1e3).toPrecision(3)}k`
    : Math.round(x).toLocaleString("en");

// Round positions from low to high, about `count` of them.
function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}

// Index of the point nearest to x; xs ascend.
function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle; else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}

// What all charts of an environment have in common.
class View {
  constructor() { this.charts = []; this.hidden = new Set(); this.range = null; this.cursor = null; }
  full() {
    const all = this.charts.flatMap((chart) => chart.lines).filter((line) => line.x.length);
    const low = Math.min(...all.map((line) => line.x[0]));
    const high = Math.max(...all.map((line) => line.x[line.x.length - 1]));
    return [low, Math.max(high, low + 1)];
  }
  zoom(range) {
    const [low, high] = this.full();
    if (range) {
      const width = Math.max(Math.min(range[1] - range[0], high - low), (high - low) / 1e4);
      const start = Math.min(Math.max(range[0], low), high - width);
      range = width >= high - low ? null : [start, start + width];
    }
    this.range = range;
    this.charts.forEach((chart) => chart.draw());
  }
  by(factor) {
    const [low, high] = this.range || this.full();
    const at = this.cursor === null ? (low + high) / 2 : this.cursor;
    this.zoom([at - (at - low) * factor, at + (high - at) * factor]);
  }
  point(x) { this.cursor = x; this.charts.forEach((chart) => chart.mark()); }
}

const LEFT = 54, RIGHT = 10, TOP = 8, BOTTOM = 24;

// lines: { label, side, colour, dash, faint, x, y, low, high }; goal: { y, label } or null.
class Chart {
  constructor(view, title, unit, lines, height, goal = null) {
    Object.assign(this, { view, lines, height, goal, title });
    view.charts.push(this);
    this.picture = svg("svg", { height, tabindex: 0, role: "img", "aria-label": this.said() });
    this.read = el("div", { class: "read" });
    const heading = el("figcaption", {}, title, el("span", { class: "dim" }, unit ? `  ${unit}` : ""));
    this.node = el("figure", {}, heading, this.picture, this.read);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  said() {
    const of = this.lines.filter((line) => !line.faint && line.y.length);
    const ends = of.map((line) => `${line.label} from ${number(line.y[0])} to ${number(line.y.at(-1))}`);
    return `${this.title} over env steps: ${ends.join("; ")}. Arrow keys read, plus and minus zoom, 0 resets.`;
  }

  listen() {
    const { picture, view } = this;
    const at = (event) => this.toX(event.clientX - picture.getBoundingClientRect().left);
    picture.addEventListener("pointerdown", (event) => { this.from = at(event); });
    picture.addEventListener("pointermove", (event) => { view.point(at(event)); });
    picture.addEventListener("pointerleave", () => { this.from = null; view.point(null); });
    picture.addEventListener("pointerup", (event) => {
      const [low, high] = [this.from, at(event)].sort((a, b) => a - b);
      const wide = this.from !== null && (high - low) / (this.x1 - this.x0) > 0.02;
      this.from = null;
      if (wide) view.zoom([low, high]); else this.mark();
    });
    picture.addEventListener("dblclick", () => view.zoom(null));
    picture.addEventListener("blur", () => view.point(null));
    picture.addEventListener("keydown", (event) => {
      const width = this.x1 - this.x0;
      const here = view.cursor === null ? this.x0 + width / 2 : view.cursor;
      const act = {
        ArrowLeft: () => view.point(Math.max(this.x0, here - width / 50)),
        ArrowRight: () => view.point(Math.min(this.x1, here + width / 50)),
        "+": () => view.by(0.5), "=": () => view.by(0.5), "-": () => view.by(2), "0": () => view.zoom(null),
        Escape: () => { view.point(null); view.zoom(null); },
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
  }

  toX(pixel) {
    const share = (pixel - LEFT) / (this.width - LEFT - RIGHT);
    return this.x0 + Math.min(1, Math.max(0, share)) * (this.x1 - this.x0);
  }
  px(x) { return LEFT + ((x - this.x0) / (this.x1 - this.x0)) * (this.width - LEFT - RIGHT); }
  py(y) { return TOP + ((this.y1 - y) / (this.y1 - this.y0)) * (this.height - TOP - BOTTOM); }
  shown() { return this.lines.filter((line) => !this.view.hidden.has(line.side) && line.x.length); }

  scale() {
    [this.x0, this.x1] = this.view.range || this.view.full();
    let low = Infinity, high = -Infinity;
    for (const line of this.shown()) {
      line.x.forEach((x, i) => {
        if (x < this.x0 || x > this.x1) return;
        low = Math.min(low, line.y[i], line.low ? line.low[i] : Infinity);
        high = Math.max(high, line.y[i], line.high ? line.high[i] : -Infinity);
      });
    }
    if (low > high) [low, high] = [0, 1];
    if (this.goal && (high - low) > 0.3 * (Math.max(high, this.goal.y) - Math.min(low, this.goal.y))) {
      [low, high] = [Math.min(low, this.goal.y), Math.max(high, this.goal.y)];
    }
    const pad = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
    [this.y0, this.y1] = [low - pad, high + pad];
  }

  draw() {
    this.width = this.picture.clientWidth;
    if (!this.width) return;
    this.scale();
    const { picture, width, height } = this;
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.replaceChildren(this.axes());
    const id = `clip${this.view.charts.indexOf(this)}-${this.title.replace(/\W/g, "")}`;
    const box = { x: LEFT, y: 0, width: width - LEFT - RIGHT, height: height - BOTTOM + 4 };
    const inside = svg("g", { "clip-path": `url(#${id})` });
    picture.append(svg("clipPath", { id }, svg("rect", box)), inside);
    for (const line of this.shown().sort((a, b) => b.faint - a.faint)) inside.append(...this.line(line));
    this.over = svg("g", { "pointer-events": "none" });
    picture.append(this.over);
    this.mark();
  }

  axes() {
    const group = svg("g", {});
    const { width, height } = this;
    for (const y of ticks(this.y0, this.y1, height / 60)) {
      const at = this.py(y);
      group.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: at, y2: at, stroke: "var(--line)" }),
        svg("text", { x: LEFT - 7, y: at + 4, "text-anchor": "end" }, number(y)));
    }
    for (const x of ticks(this.x0, this.x1, width / 110)) {
      const at = this.px(x);
      const anchor = at > width - 30 ? "end" : at < LEFT + 15 ? "start" : "middle";
      group.append(svg("text", { x: at, y: height - 6, "text-anchor": anchor }, steps(x)));
    }
    if (this.goal && this.goal.y >= this.y0 && this.goal.y <= this.y1) {
      const at = this.py(this.goal.y);
      group.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: at, y2: at, stroke: "var(--goal)", "stroke-dasharray": "4 4" }),
        svg("text", { x: LEFT + 6, y: at - 5, style: "fill: var(--goal)" }, this.goal.label));
    }
    return group;
  }

  line(line) {
    const path = (ys, xs = line.x) => xs.map((x, i) => `${this.px(x).toFixed(1)},${this.py(ys[i]).toFixed(1)}`);
    const parts = [];
    if (line.low) {
      const band = [...path(line.low), ...path(line.high, line.x).reverse()].join(" ");
      parts.push(svg("polygon", { points: band, fill: line.colour, "fill-opacity": 0.16 }));
    }
    parts.push(svg("polyline", {
      points: path(line.y).join(" "), fill: "none", stroke: line.colour, "stroke-linejoin": "round",
      "stroke-width": line.faint ? 1 : 2, "stroke-opacity": line.faint ? 0.35 : 1, "stroke-dasharray": line.dash,
    }));
    if (line.dots) {
      line.x.forEach((x, i) => parts.push(svg("circle", { cx: this.px(x), cy: this.py(line.y[i]), r: 3, fill: line.colour })));
    }
    return parts;
  }

  mark() {
    if (!this.over) return;
    this.over.replaceChildren();
    const pointed = this.view.cursor !== null;
    const x = pointed ? this.view.cursor : this.x1;
    if (pointed && this.from !== null && this.from !== undefined) {
      const [a, b] = [this.px(this.from), this.px(x)].sort((p, q) => p - q);
      this.over.append(svg("rect", { x: a, y: TOP, width: b - a, height: this.height - TOP - BOTTOM, fill: "var(--accent)", "fill-opacity": 0.12 }));
    }
    if (pointed) this.over.append(svg("line", { x1: this.px(x), x2: this.px(x), y1: TOP, y2: this.height - BOTTOM, stroke: "var(--dim)" }));
    const said = [pointed ? `${steps(x)} steps` : "at the end"];
    for (const line of this.shown().filter((one) => !one.faint)) {
      const i = nearest(line.x, x);
      if (pointed) this.over.append(svg("circle", { cx: this.px(line.x[i]), cy: this.py(line.y[i]), r: 3.5, fill: line.colour }));
      const key = el("span", { class: "key", style: `background: ${line.colour}` });
      const width = line.low ? ` ${number(line.low[i])} to ${number(line.high[i])}` : "";
      said.push(" ", el("span", { class: "entry" }, key, `${line.label} `, el("b", {}, number(line.y[i])), width));
    }
    this.read.replaceChildren(...said);
    // Read out where a person is moving through this chart by keyboard, and nowhere else.
    this.read.setAttribute("aria-live", document.activeElement === this.picture ? "polite" : "off");
  }
}
