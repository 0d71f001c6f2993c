// Chooses among the numbers of the page and draws them. No mean or interval is computed here: interactive.py has done that.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const plot = document.getElementById("plot");
const state = { view: data.metrics.length ? "lines" : "attention", metric: 0, x: null, colour: null, at: {}, map: 0, layer: 0, head: 0 };
const NONE = "(none)";

function decoded(text, type) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new type(bytes.buffer);
}

// The arrays of a metric, decoded once.
function arrays(metric) {
  if (!metric.decoded) {
    metric.decoded = {};
    for (const [name, text] of Object.entries(metric.arrays))
      metric.decoded[name] = decoded(text, ["mean", "low", "high"].includes(name) ? Float64Array : Uint32Array);
  }
  return metric.decoded;
}

const entries = (axis) => axis.labels.length + (axis.extra ? 1 : 0);
const entry = (axis, k) => (k < axis.labels.length ? axis.labels[k] : axis.extra);
const axisOf = (metric, name) => metric.axes.find((a) => a.name === name);

// Of a metric at {axis: entry}: its numbers.
function point(metric, at) {
  let k = 0;
  for (const axis of metric.axes) k = k * entries(axis) + at[axis.name];
  const a = arrays(metric);
  return { mean: a.mean[k], low: a.low[k], high: a.high[k], count: a.count[k], nan: a.nan[k], missing: a.missing[k] };
}

// What a point without a place on the axis is; null: it has one.
function mark(p, metric, log) {
  if (Number.isNaN(p.mean)) return !metric.partial && p.nan > 0 ? "nan" : "absent";
  if (!Number.isFinite(p.mean)) return "infinite";
  return log && p.mean === 0 ? "zero" : null;
}

function byDefault(axis) {
  if (axis.extra) return axis.labels.length;
  const lamp = axis.labels.indexOf("lamp");
  return lamp >= 0 ? lamp : Math.floor((axis.labels.length - 1) / 2);
}

function reset() {
  const metric = data.metrics[state.metric];
  const grid = metric.axes.filter((a) => !a.extra);
  const choose = (...groups) => groups.flat()[0];
  const x = choose(grid.filter((a) => a.numbers), metric.axes.filter((a) => a.numbers), grid, metric.axes);
  if (!metric.axes.some((a) => a.name === state.x)) state.x = x ? x.name : null;
  if (!metric.axes.some((a) => a.name === state.colour) || state.colour === state.x) {
    const other = grid.find((a) => a.name !== state.x);
    state.colour = other ? other.name : null;
  }
  for (const axis of metric.axes) if (!(state.at[axis.name] < entries(axis))) state.at[axis.name] = byDefault(axis);
}

function control(id, label, options, chosen, change) {
  const box = document.createElement("label");
  box.textContent = label;
  const select = document.createElement("select");
  select.id = id;
  options.forEach((words, k) => select.add(new Option(words, k, k === chosen, k === chosen)));
  select.onchange = () => { change(Number(select.value)); draw(); document.getElementById(id)?.focus(); };
  box.append(select);
  document.getElementById("controls").append(box);
}

function cuts(metric, shown) {
  for (const axis of metric.axes)
    if (!shown.includes(axis.name))
      control(`at-${axis.name}`, axis.name, [...Array(entries(axis)).keys()].map((k) => entry(axis, k)), state.at[axis.name],
              (k) => { state.at[axis.name] = k; });
}

function colours(axis, count) {
  if (!axis || !axis.numbers) return [...Array(count).keys()].map((k) => data.series[k % data.series.length]);
  const last = data.ordered.length - 1;
  return [...Array(count).keys()].map((k) => data.ordered[count > 1 ? Math.round(last * k / (count - 1)) : Math.round(last / 2)]);
}

const faint = (colour) => colour + "26";  // #rrggbb with an opacity of 0.15
const symbols = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "star", "pentagon", "hexagon", "bowtie"];
const dashes = ["solid", "dash", "dashdot", "dot", "longdash", "longdashdot"];
const marks = { nan: ["x", 1], infinite: ["triangle-up-open", 1], zero: ["triangle-down-open", 0], absent: ["square-open", 0] };

function hover(p, metric) {
  const number = (v) => (Number.isNaN(v) ? "none" : v.toPrecision(5));
  const why = mark(p, metric, false);
  const head = why === "nan" ? "NaN: no mean" : why === "absent" ? "not computed" : `${number(p.mean)} ${metric.units}`;
  const ends = p.count === 2 ? `the two: ${number(p.low)}, ${number(p.high)}` : p.count > 2 ? `${number(p.low)} to ${number(p.high)}` : "no interval";
  return `${head}<br>${ends}<br>sequences: ${p.count}` + (p.nan ? `<br>NaN: ${p.nan}` : "") + (p.missing ? `<br>not computed: ${p.missing}` : "");
}

function sliceWords(metric, shown) {
  const said = metric.axes.filter((a) => !shown.includes(a.name)).map((a) =>
    a.extra && state.at[a.name] === a.labels.length ? (a.name === "text" ? "sequences of all texts" : `mean over ${a.name}`)
                                                     : `${a.name} = ${entry(a, state.at[a.name])}`);
  return [...said, ...(metric.averaged.length ? [`mean over ${metric.averaged.join(", ")}`] : [])].join("; ");
}

function intervalWords(metric, counts) {
  const said = [...new Set(counts.filter((n) => n > 0))].sort((a, b) => a - b).map((n) => metric.intervals[n]).filter(Boolean);
  return [...new Set(said)].join("; ") || "values as they are recorded, no interval";
}

function shownValues(axis) { return axis ? [...axis.labels.keys()] : [null]; }

function lines() {
  const metric = data.metrics[state.metric], x = axisOf(metric, state.x), colour = axisOf(metric, state.colour);
  const shown = [state.x, state.colour].filter(Boolean);
  const names = metric.axes.map((a) => a.name);
  control("metric", "metric", data.metrics.map((m) => m.name), state.metric, (k) => { state.metric = k; reset(); });
  control("x", "x", names, names.indexOf(state.x), (k) => {
    if (names[k] === state.colour) state.colour = state.x;
    state.x = names[k];
  });
  const others = [NONE, ...names.filter((n) => n !== state.x)];
  control("colour", "colour", others, Math.max(0, others.indexOf(state.colour)), (k) => { state.colour = k ? others[k] : null; });
  cuts(metric, shown);
  const rows = shownValues(colour).map((c) => shownValues(x).map((k) => point(metric, { ...state.at, ...(x ? { [x.name]: k } : {}),
                                                                                       ...(colour ? { [colour.name]: c } : {}) })));
  const all = rows.flat(), good = all.map((p) => p.mean).filter((v) => Number.isFinite(v) && v > 0);
  const log = good.length > 0 && !all.some((p) => p.mean < 0) && Math.max(...good) >= 20 * Math.min(...good);
  const numeric = x && x.numbers, paint = colours(colour, rows.length), traces = [], counted = {};
  rows.forEach((line, n) => {
    const at = line.map((_, k) => (x ? (numeric ? x.numbers[k] : k + (n - (rows.length - 1) / 2) * 0.6 / Math.max(3, rows.length)) : 0));
    const name = colour ? `${colour.name.split(".").pop()} = ${colour.labels[n]}` : metric.name;
    const y = line.map((p) => (mark(p, metric, log) ? null : p.mean));
    const text = line.map((p) => hover(p, metric));
    const within = (p, v) => p.count > 2 && Number.isFinite(v) && !mark(p, metric, log);
    if (numeric && line.length > 1 && line.some((p) => within(p, p.low))) {
      const some = line.map((p, k) => [p, at[k]]).filter(([p]) => within(p, p.low));
      const floor = Math.min(...good) / 2;
      traces.push({ x: [...some.map((s) => s[1]), ...some.map((s) => s[1]).reverse()],
                    y: [...some.map(([p]) => p.high), ...some.map(([p]) => (log && p.low <= 0 ? floor : p.low)).reverse()],
                    fill: "toself", fillcolor: faint(paint[n]), line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false, name: `${name}, band` });
    }
    traces.push({ x: at, y, text, hovertemplate: `${name}<br>%{text}<extra></extra>`, name, connectgaps: false, cliponaxis: false,
                  mode: numeric && line.length > 1 ? "lines+markers" : "markers",
                  line: { color: paint[n], dash: dashes[n % dashes.length] }, marker: { color: paint[n], size: 7, symbol: symbols[n % symbols.length] },
                  error_y: numeric && line.length > 1 ? undefined : { type: "data", symmetric: false, color: paint[n],
                    array: line.map((p) => (within(p, p.high) ? p.high - p.mean : 0)), arrayminus: line.map((p) => (within(p, p.low) ? p.mean - p.low : 0)) } });
    const two = line.map((p, k) => [p, at[k]]).filter(([p]) => p.count === 2);
    if (two.length) traces.push({ x: two.flatMap((s) => [s[1], s[1]]), y: two.flatMap(([p]) => [p.low, p.high]), mode: "markers", hoverinfo: "skip",
                                  marker: { color: paint[n], size: 3 }, showlegend: false, name: `${name}, the two` });
    for (const [kind, [symbol, edge]] of Object.entries(marks)) {
      const some = line.map((p, k) => [p, at[k]]).filter(([p]) => mark(p, metric, log) === kind);
      counted[kind] = (counted[kind] || 0) + some.length;
      if (some.length) traces.push({ x: some.map((s) => s[1]), y: some.map(() => edge), yaxis: "y2", mode: "markers", name: data.words[kind],
                                     text: some.map(([p]) => hover(p, metric)), hovertemplate: `${name}<br>%{text}<extra></extra>`, cliponaxis: false,
                                     legendgroup: kind, showlegend: counted[kind] === some.length, marker: { symbol, color: paint[n], size: 9 } });
    }
  });
  const ticks = x && !numeric ? { tickvals: x.labels.map((_, k) => k), ticktext: x.labels } : {};
  const words = sliceWords(metric, shown);
  Plotly.react(plot, traces, {
    title: { text: `${metric.name}${x ? " against " + x.name : ""}<br><span style="font-size:12px">${words}</span>`, x: 0.01, font: { size: 16 } },
    xaxis: { title: x ? x.name : "", ...ticks, automargin: true, zeroline: false },
    yaxis: { title: { text: `${metric.name}  (${metric.units})`, standoff: 14 }, type: log ? "log" : "linear", exponentformat: "power", automargin: true, zeroline: false,
             ...(log && Math.max(...good) > 30 * Math.min(...good) ? { dtick: 1 } : {}), rangemode: log ? "normal" : "tozero" },
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true }, template: "none", legend: { x: 1.02, y: 1 }, margin: { t: 70 },
  }, { displaylogo: false });
  say(`${metric.name}: ${metric.meaning}. ${sentence(intervalWords(metric, all.map((p) => p.count)))}.` + counts(counted)
      + nothing(all));
}

const nothing = (points) => (points.some((p) => Number.isFinite(p.mean)) ? "" : " Nothing is drawn: there is no number here.");

function counts(counted, what = "Points with no place on the axis") {
  const said = Object.entries(counted).filter(([, n]) => n).map(([kind, n]) => `${data.words[kind]}: ${n}`);
  return said.length ? ` ${what}: ${said.join("; ")}.` : "";
}

const short = (v) => (v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5) ? v.toExponential(1) : Number(v.toPrecision(2)).toString());

function mapped() { return data.metrics.map((m, k) => k).filter((k) => axisOf(data.metrics[k], "layer") && axisOf(data.metrics[k], "head")); }

function heads() {
  const possible = mapped();
  if (!possible.includes(state.metric)) { state.metric = possible[0]; reset(); }
  const metric = data.metrics[state.metric], layer = axisOf(metric, "layer"), head = axisOf(metric, "head");
  control("metric", "metric", possible.map((k) => data.metrics[k].name), possible.indexOf(state.metric), (k) => { state.metric = possible[k]; reset(); });
  cuts(metric, ["layer", "head"]);
  const cells = layer.labels.map((_, l) => head.labels.map((_, h) => point(metric, { ...state.at, layer: l, head: h })));
  const good = cells.flat().map((p) => p.mean).filter(Number.isFinite);
  const log = good.every((v) => v > 0) && Math.max(...good) >= 20 * Math.min(...good);
  const z = cells.map((row) => row.map((p) => (Number.isFinite(p.mean) ? (log ? Math.log10(p.mean) : p.mean) : null)));
  const words = cells.map((row) => row.map((p) => (mark(p, metric, false) ? data.words[mark(p, metric, false)] : p.mean.toPrecision(3))));
  const many = layer.labels.length * head.labels.length > 200;
  const numbers = z.flat().filter((v) => v !== null), middle = (Math.max(...numbers) + Math.min(...numbers)) / 2;
  const annotations = many ? [] : cells.flatMap((row, l) => row.map((p, h) => {
    const why = mark(p, metric, false);
    return { x: h, y: l, text: why === "nan" ? "NaN" : why ? "–" : short(p.mean), showarrow: false,
             font: { size: 10, color: why || z[l][h] > middle ? "#000000" : "#ffffff" } };
  }));
  Plotly.react(plot, [{ type: "heatmap", z, text: cells.map((row) => row.map((p) => hover(p, metric))), customdata: words,
                        hovertemplate: "layer %{y}, head %{x}<br>%{text}<extra></extra>", colorscale: "Cividis", hoverongaps: true,
                        colorbar: { title: (log ? "log₁₀ " : "") + (metric.units === "1" && !log ? "" : metric.units) } }],
               { title: { text: `${metric.name} by layer and head<br><span style="font-size:12px">${sliceWords(metric, ["layer", "head"])}</span>`, x: 0.01 },
                 xaxis: { title: "head", tickvals: head.labels.map((_, k) => k), ticktext: head.labels, showgrid: false },
                 yaxis: { title: "layer", tickvals: layer.labels.map((_, k) => k), ticktext: layer.labels, autorange: "reversed", showgrid: false },
                 plot_bgcolor: "#dddddd", template: "none", annotations, margin: { t: 70 } }, { displaylogo: false });
  const counted = {};
  for (const p of cells.flat()) { const why = mark(p, metric, false); if (why) counted[why] = (counted[why] || 0) + 1; }
  say(`${metric.name}: ${metric.meaning}. Means over sequences; grey: no number.` + counts(counted, "Cells without a number") + nothing(cells.flat()));
}

function marked(text, place, size) {  // keys of a set of one head
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), found = new Set();
  for (let k = 0; k < size * size; ++k) {
    const bit = place * size * size + k;
    if ((bytes[bit >> 3] >> (bit & 7)) & 1) found.add(k);
  }
  return found;
}

function attention() {
  const map = data.maps[state.map], n = map.size;
  state.layer = Math.min(state.layer, map.layers - 1);
  state.head = Math.min(state.head, map.heads - 1);
  control("map", "cell", data.maps.map((m) => m.label), state.map, (k) => { state.map = k; });
  control("layer", "layer", [...Array(map.layers).keys()].map(String), state.layer, (k) => { state.layer = k; });
  control("head", "head", [...Array(map.heads).keys()].map(String), state.head, (k) => { state.head = k; });
  const place = state.layer * map.heads + state.head, traces = [];
  if (map.z) {
    map.decoded = map.decoded || decoded(map.z, Float32Array);
    const row = (i) => [...map.decoded.subarray((place * n + i) * n, (place * n + i + 1) * n)];
    const z = [...Array(n).keys()].map((i) => row(i).map((v) => (Number.isNaN(v) ? null : Math.log10(Math.max(v, 1e-4)))));
    traces.push({ type: "heatmap", z, zmin: -4, zmax: 0, colorscale: [[0, "#ffffff"], [1, "#777777"]], colorbar: { title: "log₁₀ probability<br>(white: ≤ 1e−4)", y: 0.4, len: 0.8 },
                  text: [...Array(n).keys()].map((i) => row(i).map((v) => v.toPrecision(4))), hovertemplate: "query %{y}, key %{x}<br>%{text}<extra></extra>" });
  }
  const selected = map.selected ? marked(map.selected, place, n) : new Set(), truth = map.true ? marked(map.true, place, n) : null;
  const groups = truth ? [["both", [...selected].filter((k) => truth.has(k)), "#009E73", "circle"],
                          ["selected alone", [...selected].filter((k) => !truth.has(k)), "#0072B2", "square-open"],
                          ["true set alone", [...truth].filter((k) => !selected.has(k)), "#D55E00", "x"]]
                       : [["selected", [...selected], "#0072B2", "square-open"]];
  const size = Math.max(3, Math.min(13, 420 / n));
  for (const [name, keys, colour, symbol] of groups)
    traces.push({ x: keys.map((k) => k % n), y: keys.map((k) => Math.floor(k / n)), mode: "markers", name: `${name} (${keys.length})`, hoverinfo: "skip", showlegend: true,
                  marker: { color: colour, symbol, size, line: { width: 1.5, color: colour } } });
  Plotly.react(plot, traces, {
    title: { text: `Layer ${state.layer}, head ${state.head}<br><span style="font-size:12px">${map.label}; ${map.what}</span>`, x: 0.01 },
    xaxis: { title: "key", range: [-0.5, n - 0.5], constrain: "domain", showgrid: false, zeroline: false },
    yaxis: { title: "query", range: [n - 0.5, -0.5], scaleanchor: "x", constrain: "domain", showgrid: false, zeroline: false },
    plot_bgcolor: "#e8eef6", template: "none", legend: { x: 1.02, y: 1 }, margin: { t: 70 } }, { displaylogo: false });
  say(`${sentence(map.what)}. ${map.selected ? `${selected.size} of ${n * (n + 1) / 2} scores of this head are selected.` : "Sets were not recorded (record.selected)."}`
      + (truth ? ` The true set has as many scores of each row, those of largest KL when they alone are low.` : ""));
}

const sentence = (words) => words[0].toUpperCase() + words.slice(1);

function say(words) { document.getElementById("said").textContent = words; }

function draw() {
  document.getElementById("controls").replaceChildren();
  for (const button of document.querySelectorAll("#views button")) button.classList.toggle("on", button.id === `view-${state.view}`);
  ({ lines, heads, attention })[state.view]();
}

const views = [["lines", "Lines", data.metrics.length], ["heads", "Heads × layers", mapped().length], ["attention", "Attention", data.maps.length]];
for (const [name, words, there] of views) {
  const button = document.createElement("button");
  button.id = `view-${name}`;
  button.textContent = words;
  button.disabled = !there;
  button.onclick = () => { state.view = name; draw(); };
  document.getElementById("views").append(button);
}
for (const note of data.notes) {
  const item = document.createElement("li");
  item.textContent = note;
  document.getElementById("notes").append(item);
}
if (data.metrics.length) reset();
draw();
