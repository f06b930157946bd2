// The page, from top to bottom.

const data = JSON.parse(document.getElementById("data").textContent);
const runs = Object.values(data.runs);
const main = document.getElementById("main");
const one = runs.length === 1;
const colour = (i) => `var(--c${i % 6})`;
const name = (run) => run.path.split("/").slice(-1)[0];

function head() {
  const envs = Object.keys(data.envs);
  const title = one ? `${runs[0].env}, seed ${runs[0].seed}` : `${envs.join(", ")}: ${runs.length} runs`;
  document.title = `${title} - grpo report`;
  const facts = one ? [verdict(runs[0]), `${steps(runs[0].env_steps)} env steps, ${number(runs[0].updates)} updates`,
    runs[0].wall_s ? `${number(runs[0].wall_s)} s` : null, runs[0].started.slice(0, 16).replace("T", " ")] : [];
  document.getElementById("head").append(el("h1", {}, title),
    el("p", {}, facts.filter(Boolean).flatMap((fact, i) => (i ? ["  ·  ", fact] : [fact]))),
    one ? el("p", { class: "dim" }, runs[0].path) : "");
}

function verdict(run) {
  if (run.solved === true) return el("span", { class: "good" }, `solved: at least ${number(run.stop_at)} in both modes`);
  if (run.solved === false) return el("span", { class: "bad" }, `not solved: ${number(run.stop_at)} is needed in both modes`);
  return el("span", {}, run.state);
}

// All lines of one chart: every run, and where a side has several, their mean and its interval.
function lines(sides, metrics) {
  const found = [];
  sides.forEach((side, i) => Object.entries(metrics).forEach(([metric, said], j) => {
    const band = side.bands[metric];
    const label = sides.length > 1 ? side.label : said;
    const look = { side: side.label, label, colour: colour(sides.length > 1 ? i : j) };
    const dots = metric.startsWith("eval/");
    if (band) found.push({ ...look, ...band, faint: 0, dots });
    for (const path of side.runs) {
      const curve = data.runs[path].curves[metric];
      if (curve) found.push({ ...look, ...curve, ...edges(path, metric), faint: band ? 1 : 0, dots: dots && !band });
    }
  }));
  return found;
}

// The band of a single run's return: from the worst to the best of a group.
function edges(path, metric) {
  const { "group/reward_min": low, "group/reward_max": high, [metric]: curve } = data.runs[path].curves;
  const fits = one && metric === "rollout/ep_rew_mean" && low && high && low.x.length === curve.x.length;
  return fits ? { low: low.y, high: high.y } : {};
}

// Bands of several runs hide each other: then every metric has a chart of its own.
function pictures() {
  if (one) return data.charts;
  return data.charts.flatMap(({ title, unit, metrics }) => Object.entries(metrics).map(([metric, said], i, all) =>
    ({ title: all.length > 1 ? `${title}, ${said}` : title, unit, metrics: { [metric]: said } })));
}

function charts(env, sides) {
  const view = new View();
  const goal = runs.find((run) => run.env === env && run.stop_at !== null && run.stop_at !== undefined);
  const nodes = pictures().map(({ title, unit, metrics }, i) => {
    const of = lines(sides, metrics);
    const mark = i === 0 && goal ? { y: goal.stop_at, label: `stop at ${number(goal.stop_at)}` } : null;
    return of.length ? new Chart(view, title, unit, of, i ? 200 : 340, mark).node : null;
  });
  const reset = el("button", { type: "button", onclick: () => view.zoom(null) }, "Show all");
  const closer = el("button", { type: "button", onclick: () => view.by(0.5), "aria-label": "Zoom in" }, "+");
  const wider = el("button", { type: "button", onclick: () => view.by(2), "aria-label": "Zoom out" }, "−");
  const keys = sides.length < 2 ? [] : sides.map((side, i) => el("button", {
    type: "button", "aria-pressed": "true",
    onclick: (event) => {
      const on = view.hidden.delete(side.label);
      if (!on) view.hidden.add(side.label);
      event.currentTarget.setAttribute("aria-pressed", String(on));
      view.charts.forEach((chart) => chart.draw());
    },
  }, el("span", { class: "key", style: `background: ${colour(i)}` }), `${side.label} (${side.runs.length})`));
  const seeds = sides.some((side) => side.runs.length > 1);
  const note = seeds ? "Bold: mean over seeds with its 95 % bootstrap interval; a run that has ended keeps its last value."
    : one ? "The band of the return is from the worst to the best of a group." : "";
  return [el("div", { class: "row" }, keys, closer, wider, reset),
    el("p", { class: "dim" }, `Drag over a chart to zoom, double-click for all. ${note}`), el("div", { class: "charts" }, nodes)];
}

function evaluation(of) {
  const rows = of.flatMap((run) => Object.entries(run.eval).map(([mode, score]) => el("tr", {},
    el("td", {}, one ? mode : `${name(run)} ${mode}`), el("td", {}, number(score.episodes)),
    el("td", {}, el("b", {}, number(score.mean))), el("td", {}, `${number(score.ci_low)} to ${number(score.ci_high)}`),
    el("td", {}, number(score.std)), el("td", {}, number(score.median)), el("td", {}, number(score.iqm)),
    el("td", {}, number(score.length_mean)), el("td", {}, score.success_rate === null ? "-" : `${number(100 * score.success_rate)} %`))));
  if (!rows.length) return el("p", {}, "No final evaluation: this run has not come to its end.");
  return scroll("Final evaluation", table(["mode", "episodes", "mean", "95 % interval", "std", "median", "IQM", "length", "success"], rows));
}

// The same over seeds: each side's mean of the runs' means.
function overSeeds(sides) {
  const rows = sides.flatMap((side) => Object.entries(side.scores).map(([mode, score]) => el("tr", {},
    el("td", {}, `${side.label} ${mode}`), el("td", {}, number(score.runs)), el("td", {}, el("b", {}, number(score.mean))),
    el("td", {}, `${number(score.ci_low)} to ${number(score.ci_high)}`), el("td", {}, number(score.iqm)), el("td", {}, number(score.worst)))));
  return rows.length ? [el("h3", {}, "Over seeds"), scroll("Over seeds",
    table(["side", "runs", "mean", "95 % interval", "IQM", "worst run"], rows)), el("h3", {}, "Run by run")] : [];
}

const scroll = (label, ...nodes) => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, nodes);

function differing(sides) {
  const configs = sides.map((side) => data.runs[side.runs[0]].config);
  const rows = data.differences.filter((key) => new Set(configs.map((config) => config[key])).size > 1).map((key) =>
    el("tr", {}, el("td", {}, key), configs.map((config) => el("td", { class: "text" }, config[key] ?? "-"))));
  return rows.length ? [el("h2", {}, "Where the configs differ"),
    scroll("Differences", table(["key", ...sides.map((side) => side.label)], rows, sides.map((_, i) => i + 1)))] : [];
}

function about(run) {
  const rows = Object.entries(run.config).map(([key, value]) => el("tr", {}, el("td", {}, key), el("td", { class: "text" }, value)));
  const versions = Object.entries(run.versions).map(([what, version]) => `${what} ${version}`).join(", ");
  return [
    el("pre", {}, `grpo ${["train", ...run.command].join(" ")}`),
    el("p", { class: "dim" }, `Python ${run.python}, ${versions}${run.resumed ? `; gone on with ${run.resumed} times` : ""}`),
    el("details", {}, el("summary", {}, `Config, ${rows.length} keys`), scroll("Config", table(["key", "value"], rows, [1]))),
  ];
}

function films(run) {
  return run.videos.map((film) => el("figure", {},
    film.data === null ? el("p", { class: "dim" }, `too large to be held here: ${run.path}`)
      : film.kind === "image/gif" ? el("img", { class: "film", src: film.data, alt: `Episodes of ${run.env}` })
        : el("video", { src: film.data, controls: "", muted: "", playsinline: "", preload: "metadata", "aria-label": film.name }),
    el("figcaption", { class: "dim" }, film.name)));
}

function perRun(title, having, show) {
  const of = runs.filter(having);
  if (!of.length) return [];
  if (of.length === 1) return [el("h2", {}, title), one ? "" : el("p", { class: "dim" }, of[0].path), show(of[0])].flat();
  const place = el("div", {});
  const choice = el("select", { "aria-label": "Run", onchange: () => place.replaceChildren(...[show(of[+choice.value])].flat()) },
    of.map((run, i) => el("option", { value: i }, run.path)));
  place.replaceChildren(...[show(of[0])].flat());
  return [el("h2", {}, title), el("div", { class: "row" }, choice), place];
}

head();
for (const [env, sides] of Object.entries(data.envs)) {
  const of = runs.filter((run) => run.env === env);
  main.append(el("h2", {}, Object.keys(data.envs).length > 1 ? `Curves of ${env}` : "Curves"), ...charts(env, sides));
  main.append(el("h2", {}, "Final evaluation"), ...overSeeds(sides), evaluation(of));
}
main.append(...differing(Object.values(data.envs).flat()));
main.append(...perRun("Group microscope", (run) => run.groups.length, microscope));
main.append(...perRun("Videos", (run) => run.videos.length, films));
main.append(...perRun("How it was made", () => true, about));
main.append(el("p", { class: "dim" }, `Written by grpo ${data.version}; this file loads nothing.`));
