// One layer on the page: its maps in a grid on one canvas, or its numbers as a row of cells.

import { css, gradient, table } from "./colours.js";

const GAP = 6;
/** Values of a layer that are fetched at once. */
const MOST_VALUES = 400_000;
const MOST_MAPS = 64;

/** An element with properties and children. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export function show(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 100_000) ? value.toExponential(2) : value.toFixed(size < 10 ? 3 : size < 1000 ? 2 : 0);
  return text.replace("-", "−");
}

export class LayerView {
  constructor(layer, host, page) {
    this.layer = layer;
    this.page = page;
    [this.height, this.width, this.channels] = layer.layout;
    this.from = 0;
    this.count = layer.is_vector ? 1 : Math.max(1, Math.min(this.channels, MOST_MAPS, Math.floor(MOST_VALUES / (this.height * this.width))));
    this.cursor = null;
    this.visible = false;
    this.build(host);
  }

  build(host) {
    const { layer } = this;
    const shape = layer.shape.join(" × ");
    const parameters = layer.parameters ? `, ${layer.parameters.toLocaleString("en")} parameters` : "";
    this.low = h("span");
    this.high = h("span");
    this.strip = h("i");
    this.canvas = h("canvas", {
      tabIndex: 0,
      role: "application",
      ariaLabel: `${layer.name}: cells of ${shape}. Arrow keys move from cell to cell, page keys from map to map.`,
    });
    this.element = h(
      "article",
      { className: "card layer", id: `layer-${layer.index}` },
      h("header", {}, h("h3", { textContent: layer.name }), h("span", { className: "badge", textContent: layer.class }),
        h("span", { className: "shape", textContent: `${shape}${parameters}` }),
        h("span", { className: "legend" }, this.low, this.strip, this.high)),
      h("p", { className: "sentence", textContent: layer.sentence }),
      this.canvas,
    );
    if (this.count < this.channels && !layer.is_vector) {
      this.back = h("button", { textContent: "←", ariaLabel: `${layer.name}: earlier maps`, onclick: () => this.turn(-1) });
      this.forward = h("button", { textContent: "→", ariaLabel: `${layer.name}: later maps`, onclick: () => this.turn(1) });
      this.where = h("span", { className: "number" });
      this.element.append(h("div", { className: "pages" }, this.back, this.where, this.forward));
      this.tellPage();
    }
    host.append(this.element);
    this.context = this.canvas.getContext("2d");
    this.small = document.createElement("canvas").getContext("2d");
    this.canvas.addEventListener("pointermove", (event) => event.pointerType !== "touch" && this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.page.onLeave(this));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.arrange();
    this.paint();
  }

  /** How much that is. */
  get bytes() {
    return this.count * this.height * this.width;
  }

  /** What is to be fetched for it. */
  get want() {
    return `${this.layer.index}:${this.from}:${this.count}`;
  }

  turn(direction) {
    const last = Math.floor((this.channels - 1) / this.count) * this.count;
    this.from = Math.min(Math.max(this.from + direction * this.count, 0), last);
    this.cursor = null;
    this.tellPage();
    this.page.fetchFor(this);
  }

  tellPage() {
    if (!this.where) return;
    const end = Math.min(this.from + this.count, this.channels);
    this.where.textContent = `maps ${this.from + 1} to ${end} of ${this.channels}`;
    this.back.disabled = this.from === 0;
    this.forward.disabled = end === this.channels;
  }

  /** Decides sizes from the room there is. */
  arrange() {
    const room = Math.max(this.element.clientWidth - 34, 120);
    if (this.layer.is_vector) {
      const size = this.width <= 16 ? 30 : this.width <= 128 ? 18 : this.width <= 1024 ? 11 : this.width <= 4096 ? 6 : 3;
      this.columns = Math.max(1, Math.min(this.width, Math.floor(room / size)));
      this.rows = Math.ceil(this.width / this.columns);
      this.size = size;
      this.cssWidth = this.columns * size;
      this.cssHeight = this.rows * size;
    } else {
      const longest = Math.max(this.height, this.width);
      const aim = longest <= 4 ? 48 : longest <= 8 ? 58 : longest <= 14 ? 70 : longest <= 40 ? 84 : 112;
      const alone = this.channels <= 3 ? Math.min(168, room) : aim;
      this.size = longest <= alone ? Math.max(1, Math.round(alone / longest)) : alone / longest;
      this.mapWidth = this.width * this.size;
      this.mapHeight = this.height * this.size;
      this.columns = Math.max(1, Math.min(this.count, Math.floor((room + GAP) / (this.mapWidth + GAP))));
      // Full rows look better than as many as fit.
      const whole = Array.from({ length: this.columns }, (_, i) => this.columns - i).find((n) => this.count % n === 0);
      if (whole >= 0.7 * this.columns) this.columns = whole;
      this.rows = Math.ceil(this.count / this.columns);
      this.cssWidth = Math.min(this.columns * (this.mapWidth + GAP) - GAP, room);
      this.cssHeight = this.rows * (this.mapHeight + GAP) - GAP;
    }
    const ratio = Math.max(1, window.devicePixelRatio || 1);
    this.ratio = ratio;
    this.canvas.width = Math.ceil(this.cssWidth * ratio);
    this.canvas.height = Math.ceil(this.cssHeight * ratio);
    this.canvas.style.width = `${this.cssWidth}px`;
    this.canvas.style.height = `${this.cssHeight}px`;
  }

  /** Takes new maps: bytes, and what 0 and 255 stand for in each. */
  take(planes, bytes) {
    this.planes = { ...planes, bytes };
    const [low, high] = [Math.min(...planes.low), Math.max(...planes.high)];
    this.lowest = low;
    this.highest = high;
    this.map = this.layer.class === "InputLayer" && low >= 0 ? "grey" : low < -1e-6 ? "signed" : "viridis";
    this.paint();
  }

  forget() {
    this.planes = null;
    this.cursor = null;
    this.paint();
  }

  /** The range of the colours of a map: of its own values or of the whole layer's. */
  bounds(map) {
    let [low, high] = this.page.scaleByMap ? [this.planes.low[map], this.planes.high[map]] : [this.lowest, this.highest];
    if (this.map === "signed") {
      high = Math.max(Math.abs(low), Math.abs(high), 1e-12);
      low = -high;
    } else {
      low = Math.min(low, 0);
    }
    return [low, high > low ? high : low + 1];
  }

  /** The maps' pixels, one map below the other. */
  pixels() {
    const { low, high, bytes } = this.planes;
    const size = this.height * this.width;
    const maps = low.length;
    const [width, height] = [this.width, this.height * maps];
    if (this.small.canvas.width !== width || this.small.canvas.height !== height || !this.image) {
      this.small.canvas.width = width;
      this.small.canvas.height = height;
      this.image = this.small.createImageData(width, height);
      this.words = new Uint32Array(this.image.data.buffer);
    }
    const colours = table(this.map);
    const steps = new Uint32Array(256);
    for (let map = 0; map < maps; map++) {
      const [bottom, top] = this.bounds(map);
      for (let i = 0; i < 256; i++) {
        const value = low[map] + ((high[map] - low[map]) * i) / 255;
        steps[i] = colours[Math.min(255, Math.max(0, Math.round((255 * (value - bottom)) / (top - bottom))))];
      }
      for (let i = map * size; i < (map + 1) * size; i++) this.words[i] = steps[bytes[i]];
    }
    this.small.putImageData(this.image, 0, 0);
    return this.small.canvas;
  }

  /** The upper left corner of a map of the page. */
  corner(map) {
    return [(map % this.columns) * (this.mapWidth + GAP), Math.floor(map / this.columns) * (this.mapHeight + GAP)];
  }

  paint() {
    const { context, ratio, size } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.cssWidth, this.cssHeight);
    context.imageSmoothingEnabled = size < 1;
    if (!this.planes) {
      context.fillStyle = "rgb(128 140 160 / .14)";
      if (this.layer.is_vector) for (let i = 0; i < this.width; i++) context.fillRect((i % this.columns) * size, Math.floor(i / this.columns) * size, size - 1, size - 1);
      else for (let map = 0; map < this.count; map++) context.fillRect(...this.corner(map), this.mapWidth, this.mapHeight);
      this.low.textContent = this.high.textContent = "";
      this.strip.style.background = "none";
      return;
    }
    const pixels = this.pixels();
    if (this.layer.is_vector) {
      const gap = size > 4 ? 1 : 0;
      for (let row = 0; row < this.rows; row++) {
        const count = Math.min(this.columns, this.width - row * this.columns);
        context.drawImage(pixels, row * this.columns, 0, count, 1, 0, row * size, count * size, size - gap);
      }
      this.nameCells();
      // Lines between the cells.
      if (gap) for (let column = 1; column <= this.columns; column++) context.clearRect(column * size - 1, 0, 1, this.cssHeight);
    } else {
      for (let map = 0; map < this.planes.low.length; map++) {
        context.drawImage(pixels, 0, map * this.height, this.width, this.height, ...this.corner(map), this.mapWidth, this.mapHeight);
      }
    }
    const [bottom, top] = [this.map === "signed" ? -Math.max(-this.lowest, this.highest) : Math.min(this.lowest, 0), this.map === "signed" ? Math.max(-this.lowest, this.highest) : this.highest];
    this.low.textContent = this.page.scaleByMap ? "low" : show(bottom);
    this.high.textContent = this.page.scaleByMap ? "high" : show(top);
    this.strip.style.background = gradient(this.map);
  }

  /** Writes the classes' names into the output's cells. */
  nameCells() {
    const { classes, output } = this.page.model;
    if (this.layer.index !== output || this.size < 18 || !classes.every((name) => name.length < 3)) return;
    const { context, size } = this;
    const [{ low, high, bytes }, [bottom, top]] = [this.planes, this.bounds(0)];
    context.font = `600 ${Math.round(size * 0.45)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    classes.forEach((name, i) => {
      const value = low[0] + ((high[0] - low[0]) * bytes[i]) / 255;
      context.fillStyle = css(this.map, (value - bottom) / (top - bottom))[1];
      context.fillText(name, ((i % this.columns) + 0.5) * size - 0.5, (Math.floor(i / this.columns) + 0.5) * size);
    });
  }

  /** The cell at a point of the canvas. */
  cellAt(x, y) {
    if (this.layer.is_vector) {
      const at = Math.floor(y / this.size) * this.columns + Math.floor(x / this.size);
      return x < this.cssWidth && at >= 0 && at < this.width ? { y: 0, x: at, channel: 0 } : null;
    }
    const column = Math.floor(x / (this.mapWidth + GAP));
    const row = Math.floor(y / (this.mapHeight + GAP));
    const map = row * this.columns + column;
    const [left, top] = this.corner(map);
    const [cx, cy] = [Math.floor((x - left) / this.size), Math.floor((y - top) / this.size)];
    const inside = column < this.columns && map < this.count && this.from + map < this.channels && cx >= 0 && cy >= 0 && cx < this.width && cy < this.height;
    return inside ? { y: cy, x: cx, channel: this.from + map } : null;
  }

  /** The rectangle of some cells in the canvas: [x, y, width, height]; null if its map is on another page. */
  rectangle(ys, xs, channel) {
    if (this.layer.is_vector) {
      const at = xs[0];
      return [(at % this.columns) * this.size, Math.floor(at / this.columns) * this.size, this.size, this.size];
    }
    const map = channel - this.from;
    if (map < 0 || map >= this.count) return null;
    const [left, top] = this.corner(map);
    const [y0, y1] = [Math.max(0, Math.min(...ys)), Math.min(this.height - 1, Math.max(...ys))];
    const [x0, x1] = [Math.max(0, Math.min(...xs)), Math.min(this.width - 1, Math.max(...xs))];
    if (y1 < y0 || x1 < x0) return null;
    return [left + x0 * this.size, top + y0 * this.size, (x1 - x0 + 1) * this.size, (y1 - y0 + 1) * this.size];
  }

  /** The channels on this page. */
  get shown() {
    return Array.from({ length: Math.min(this.count, this.channels - this.from) }, (_, i) => this.from + i);
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const cell = this.cellAt(event.clientX - box.left, event.clientY - box.top);
    if (!cell || !this.planes) return;
    this.choose(cell);
  }

  choose(cell) {
    const same = this.cursor && this.cursor.y === cell.y && this.cursor.x === cell.x && this.cursor.channel === cell.channel;
    this.cursor = cell;
    this.page.onCell(this, cell, same);
  }

  key(event) {
    if (!this.planes) return;
    const row = this.layer.is_vector ? this.columns : 1;
    const moves = { ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], ArrowUp: [-1, 0, 0], ArrowDown: [1, 0, 0], PageUp: [0, 0, -1], PageDown: [0, 0, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const cell = { ...(this.cursor ?? { y: this.height >> 1, x: this.width >> 1, channel: this.from }) };
    if (this.cursor) {
      if (this.layer.is_vector) cell.x += move[1] + row * move[0];
      else {
        cell.y += move[0];
        cell.x += move[1];
      }
      cell.channel += move[2];
    }
    const limit = (value, top) => Math.min(Math.max(value, 0), top - 1);
    cell.y = limit(cell.y, this.height);
    cell.x = limit(cell.x, this.width);
    cell.channel = Math.min(Math.max(cell.channel, this.from), this.from + this.shown.length - 1);
    this.choose(cell);
  }
}
