// The page of a run: asks for its state a few times a second, and keeps the last one when the run is over.

const $ = (id) => document.getElementById(id);
const SMOOTHING = 0.8;
/** Within an epoch there are many points, so that more of them are smoothed together. */
const SMOOTHING_STEPS = 0.95;
const TRAIN = "#2f7dc4";
const VALIDATION = "#d9641c";
const TEST = "#1b9e77";

let version = -1;
let state = null;
let misses = 0;

function h(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function time(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  const pad = (n) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${pad(s % 60)} min` : `${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60)} h`;
}

/** Each value with a share of those before it. */
function smooth(points, keep) {
  let average;
  return points.map(([x, y]) => {
    average = average === undefined ? y : keep * average + (1 - keep) * y;
    return [x, average];
  });
}

function series(name) {
  return state.history.filter((epoch) => Number.isFinite(epoch[name])).map((epoch) => [epoch.epoch, epoch[name]]);
}

function curves(name) {
  const list = [];
  if (name === "loss" && state.points.length > 1) {
    list.push({ label: "training, within epochs", colour: TRAIN, points: state.points, faint: true });
    list.push({ label: "smoothed", colour: TRAIN, points: smooth(state.points, SMOOTHING_STEPS) });
  }
  const training = series(name);
  if (training.length) list.push({ label: "training, by epoch", colour: name === "loss" ? "#6a51a3" : TRAIN, points: training, dots: true, faint: training.length > 4 });
  if (training.length > 4) list.push({ label: "training, smoothed", colour: name === "loss" ? "#6a51a3" : TRAIN, points: smooth(training, SMOOTHING) });
  const validation = series(`val_${name}`);
  if (validation.length) list.push({ label: "validation", colour: VALIDATION, points: validation, dots: true, faint: validation.length > 4 });
  if (validation.length > 4) list.push({ label: "validation, smoothed", colour: VALIDATION, points: smooth(validation, SMOOTHING) });
  const test = state.report?.[`test_${name}`];
  if (Number.isFinite(test)) list.push({ label: `test ${test.toFixed(4)}`, colour: TEST, points: [[0, test], [Math.max(state.epochs, 1), test]], dashed: true });
  const now = state.values[name];
  if (!list.length && Number.isFinite(now)) list.push({ label: `now ${now.toFixed(4)}`, colour: TRAIN, points: [[state.epoch - 1 + state.step / Math.max(1, state.steps), now]], dots: true });
  return list;
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const all = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) all.push(value);
  return all;
}

function plot(canvas, legend, list) {
  const ratio = Math.max(1, devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  context.font = "11px system-ui, sans-serif";
  const values = list.flatMap((curve) => curve.points.map(([, y]) => y)).filter(Number.isFinite);
  if (!values.length) {
    context.fillStyle = style.getPropertyValue("--quiet");
    context.fillText("not yet", 12, 24);
    return;
  }
  // The first steps' losses would flatten all that follows.
  const sorted = [...values].sort((a, b) => a - b);
  let [low, high] = [sorted[0], sorted[Math.min(sorted.length - 1, Math.floor(0.995 * sorted.length))]];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  [low, high] = [low - room, high + room];
  const right = Math.max(state.epochs, 1);
  const [x0, x1, y0, y1] = [46, width - 10, height - 24, 8];
  const X = (x) => x0 + ((x1 - x0) * x) / right;
  const Y = (y) => Math.min(y0, Math.max(y1, y0 + ((y1 - y0) * (y - low)) / (high - low)));
  context.strokeStyle = style.getPropertyValue("--line");
  context.fillStyle = style.getPropertyValue("--quiet");
  context.lineWidth = 1;
  context.textAlign = "right";
  for (const tick of ticks(low, high, 5)) {
    context.beginPath();
    context.moveTo(x0, Y(tick));
    context.lineTo(x1, Y(tick));
    context.stroke();
    context.fillText(String(Number(tick.toPrecision(4))), x0 - 6, Y(tick) + 4);
  }
  context.textAlign = "center";
  for (const tick of ticks(0, right, Math.min(8, right))) context.fillText(String(Number(tick.toPrecision(3))), X(tick), height - 8);
  for (const { colour, points, faint, dots, dashed } of list) {
    context.globalAlpha = faint ? 0.35 : 1;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = faint ? 1.25 : 2.25;
    context.lineJoin = "round";
    context.setLineDash(dashed ? [6, 5] : []);
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(X(x), Y(y)) : context.moveTo(X(x), Y(y))));
    context.stroke();
    if (dots) for (const [x, y] of points) {
      context.beginPath();
      context.arc(X(x), Y(y), points.length > 40 ? 1.5 : 3, 0, 7);
      context.fill();
    }
  }
  context.globalAlpha = 1;
  legend.replaceChildren(...list.map(({ label, colour, faint, dashed }) => {
    const mark = h("i");
    mark.style.borderColor = colour;
    mark.style.opacity = faint ? 0.45 : 1;
    mark.style.borderTopStyle = dashed ? "dashed" : "solid";
    return h("li", {}, mark, label);
  }));
}

function facts() {
  const list = [
    ["epoch", state.epoch ? `${state.epoch} of ${state.epochs}` : "–"],
    ["step", state.steps ? `${state.step} of ${state.steps}` : "–"],
    ["time left", state.phase === "done" ? "0 s" : time(state.seconds_left)],
    ["time so far", time(state.elapsed)],
    ["images a second", state.images_per_second ? Math.round(state.images_per_second).toLocaleString("en") : "–"],
    ...Object.entries(state.values).map(([name, value]) => [name, value.toFixed(4)]),
    ...["loss", "accuracy"].filter((name) => Number.isFinite(state.report?.[`test_${name}`])).map((name) => [`test ${name}`, state.report[`test_${name}`].toFixed(4)]),
  ];
  $("facts").replaceChildren(...list.map(([name, value]) => h("div", {}, h("dt", { textContent: name }), h("dd", { textContent: value }))));
}

function table() {
  const names = [...new Set(state.history.flatMap(Object.keys))];
  const best = Object.fromEntries(names.map((name) => {
    const values = state.history.map((epoch) => epoch[name]).filter(Number.isFinite);
    return [name, name.includes("loss") ? Math.min(...values) : Math.max(...values)];
  }));
  const head = h("tr", {}, ...names.map((name) => h("th", { textContent: name.replaceAll("_", " ") })));
  const rows = state.history.map((epoch) => h("tr", {}, ...names.map((name) => {
    const value = epoch[name];
    const digits = name === "epoch" || name === "images_per_second" ? 0 : name === "seconds" ? 1 : 4;
    const marked = value === best[name] && !["epoch", "seconds", "images_per_second"].includes(name) && state.history.length > 1;
    return h("td", { textContent: Number.isFinite(value) ? value.toFixed(digits) : "", className: marked ? "best" : "" });
  })));
  $("table").replaceChildren(h("thead", {}, head), h("tbody", {}, ...rows));
}

function draw() {
  if (!state) return;
  $("recipe").textContent = state.recipe;
  const within = state.steps ? state.step / state.steps : 0;
  const whole = state.phase === "done" ? 1 : state.epochs ? (Math.max(state.epoch - 1, 0) + within) / state.epochs : 0;
  document.title = `${Math.round(100 * whole)} % ${state.recipe}: striate`;
  $("whole").style.width = `${100 * whole}%`;
  $("whole").parentElement.setAttribute("aria-valuenow", Math.round(100 * whole));
  $("part").style.width = `${100 * within}%`;
  $("phase").textContent = state.phase;
  $("phase").className = `badge ${state.phase === "done" ? "done" : ""}`;
  facts();
  const metric = Object.keys(state.values).find((name) => name !== "loss");
  $("metric-title").textContent = metric ? metric[0].toUpperCase() + metric.slice(1).replaceAll("_", " ") : "Metric";
  plot($("loss"), $("loss-legend"), curves("loss"));
  plot($("metric"), $("metric-legend"), metric ? curves(metric) : []);
  table();
}

async function poll() {
  try {
    const response = await fetch(`/api/run?version=${version}`);
    const answer = await response.json();
    misses = 0;
    if (answer.version !== version && answer.history) {
      state = answer;
      version = answer.version;
      draw();
    }
  } catch {
    misses += 1;
    if (misses > 3) {
      $("phase").textContent = "the program ended before the run was over";
      $("phase").className = "badge gone";
    }
  }
  if (state?.phase !== "done") setTimeout(poll, document.hidden ? 2000 : 250 * Math.min(8, 1 + misses));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", draw);
poll();
