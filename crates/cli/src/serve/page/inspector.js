// How one cell came about: window × kernel, bias, sum, activation; and the lines on the page that show where it looked.

import { css } from "./colours.js";
import { h, show } from "./maps.js";

const SVG = "http://www.w3.org/2000/svg";
const NAMES = { relu: "ReLU", softmax: "softmax", sigmoid: "sigmoid", tanh: "tanh", linear: "no activation", relu6: "ReLU6" };

export class Inspector {
  constructor(page) {
    this.page = page;
    this.panel = document.getElementById("inspector");
    this.body = document.getElementById("inspector-body");
    this.spoken = document.getElementById("inspector-spoken");
    this.lines = document.getElementById("lines");
    this.shownParts = 3;
    document.getElementById("inspector-close").onclick = () => this.close();
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  close() {
    this.panel.classList.remove("open");
    this.lines.replaceChildren();
  }

  nameOf(layer) {
    return this.page.model.layers[layer].name;
  }

  /** Shows the answer about a cell. */
  show(answer) {
    this.answer = answer;
    this.panel.classList.add("open");
    const [y, x, channel] = answer.cell;
    const layer = this.page.model.layers[answer.layer];
    const place = layer.is_vector ? this.unit(layer, x) : `map ${channel + 1}, row ${y + 1}, column ${x + 1}`;
    const build = {
      convolution: () => this.convolution(answer),
      dense: () => this.dense(answer),
      maximum: () => this.pooling(answer),
      mean: () => this.pooling(answer),
    }[answer.kind];
    const parts = build ? build() : [h("p", { className: "quiet", textContent: this.plain(answer) })];
    const result = answer.activation && answer.before !== undefined
      ? `${NAMES[answer.activation] ?? answer.activation}(${show(answer.before)}) = ${show(answer.value)}`
      : `value ${show(answer.value)}`;
    this.body.replaceChildren(
      h("p", { className: "cell-name", textContent: `${layer.name}: ${place}` }),
      ...parts,
      h("p", { className: "result", textContent: answer.activation === "linear" ? `= ${show(answer.value)}` : result }),
    );
    Object.assign(this.body.dataset, { kind: answer.kind, value: answer.value, sum: answer.sum ?? "", bias: answer.bias ?? "", before: answer.before ?? "", after: answer.after ?? "" });
    this.spoken.textContent = `${layer.name}, ${place}: ${show(answer.value)}`;
    this.draw();
  }

  unit(layer, x) {
    const isOutput = layer.index === this.page.model.output;
    const name = isOutput && this.page.model.classes[x];
    return name ? `class ${name}` : `unit ${x + 1}`;
  }

  grid(values, columns, scale, name, winner) {
    const fine = columns > 5;
    const cells = values.map((value, i) => {
      if (value === null) return h("span", { className: "outside", title: "outside: counts as 0", textContent: "0" });
      const t = name === "signed" ? 0.5 + value / scale / 2 : value / scale;
      const [background, ink] = css(name, t);
      const cell = h("span", { textContent: show(value).replace(/^(−?)0\./, "$1."), title: String(value), className: i === winner ? "winner" : "" });
      cell.style.background = background;
      cell.style.color = ink;
      return cell;
    });
    const grid = h("div", { className: fine ? "grid fine" : "grid" }, ...cells);
    grid.style.gridTemplateColumns = `repeat(${columns}, max-content)`;
    return grid;
  }

  convolution(answer) {
    const columns = answer.xs.length;
    const largest = (parts, key) => Math.max(1e-9, ...parts.flatMap((part) => part[key].map((value) => Math.abs(value ?? 0))));
    const [inputs, taps] = [largest(answer.parts, "window"), largest(answer.parts, "kernel")];
    const signed = answer.parts.some((part) => part.window.some((value) => value < 0));
    const source = this.nameOf(answer.source);
    const rows = answer.parts.slice(0, this.shownParts).map((part) =>
      h("div", { className: "product" },
        h("figure", {}, h("figcaption", { textContent: answer.channels > 1 ? `map ${part.channel + 1}` : "window" }), this.grid(part.window, columns, inputs, signed ? "signed" : "viridis")),
        h("span", { className: "sign", textContent: "×" }),
        h("figure", {}, h("figcaption", { textContent: "kernel" }), this.grid(part.kernel, columns, taps, "signed")),
        h("span", { className: `sum ${part.sum < 0 ? "minus" : "plus"}`, textContent: `= ${show(part.sum)}` }),
      ));
    const hidden = answer.parts.slice(this.shownParts);
    const more = hidden.length + answer.rest_count;
    const rest = hidden.reduce((sum, part) => sum + part.sum, answer.rest);
    const list = [h("p", { className: "quiet", textContent: answer.channels > 1 ? `The windows of ${source} that count most, times this map's kernel:` : `The window of ${source}, times this map's kernel:` }), ...rows];
    if (hidden.length && this.shownParts < 12) {
      list.push(h("button", { textContent: "Show more maps", onclick: () => ((this.shownParts = 12), this.show(this.answer)) }));
    }
    list.push(this.steps(answer, more ? [[`${more} other maps`, rest]] : [], `Sum over ${answer.xs.length * answer.ys.length} taps × ${answer.channels} map${answer.channels > 1 ? "s" : ""}`));
    return list;
  }

  steps(answer, extra, what) {
    const lines = [...extra, [what, answer.sum], ...(answer.bias === null ? [] : [["+ bias", answer.bias]])];
    const terms = lines.flatMap(([name, value]) => [h("dt", { textContent: name }), h("dd", { textContent: show(value) })]);
    return h("dl", { className: "steps" }, ...terms, h("dt", { className: "total", textContent: "= before activation" }), h("dd", { className: "total", textContent: show(answer.before) }));
  }

  dense(answer) {
    const items = answer.parts.slice(0, 12).map((part) => {
      const [y, x, channel] = part.cell;
      const layer = this.page.model.layers[part.layer];
      const name = layer.is_vector ? `${layer.name} ${x + 1}` : `${layer.name} map ${channel + 1} (${y + 1}, ${x + 1})`;
      return h("li", {},
        h("span", { className: "name", textContent: name, title: name }),
        h("span", { className: "value", textContent: `${show(part.input)} × ${show(part.weight)}` }),
        h("span", { className: `value ${part.product < 0 ? "minus" : "plus"}`, textContent: show(part.product) }));
    });
    const hidden = answer.parts.slice(12);
    const more = hidden.length + answer.rest_count;
    const rest = hidden.reduce((sum, part) => sum + part.product, answer.rest);
    const list = [h("p", { className: "quiet", textContent: `The strongest of ${answer.features} inputs × weights:` }), h("ol", { className: "terms" }, ...items),
      this.steps(answer, more ? [[`${more} other products`, rest]] : [], `Sum of ${answer.features} products`)];
    if (answer.softmax) list.push(h("p", { className: "quiet", textContent: `Softmax: e^(${show(answer.before)} − ${show(answer.softmax.largest)}), divided by the sum ${show(answer.softmax.total)} over ${answer.softmax.units} classes.` }));
    return list;
  }

  pooling(answer) {
    const largest = Math.max(1e-9, ...answer.window.map((value) => Math.abs(value ?? 0)));
    const signed = answer.window.some((value) => value < 0);
    return [
      h("p", { className: "quiet", textContent: `The ${answer.kind} of the window on map ${answer.channel + 1} of ${this.nameOf(answer.source)}:` }),
      this.grid(answer.window, answer.xs.length, largest, signed ? "signed" : "viridis", answer.winner),
    ];
  }

  plain(answer) {
    const from = answer.from && answer.source !== undefined ? this.place(answer.source, answer.from) : "";
    switch (answer.kind) {
      case "input": return "A pixel of the input, from 0 (paper) to 1 (ink), or as the model wants its pictures.";
      case "copy": return `The same number as ${from}.`;
      case "border": return "A zero of the border.";
      case "function": return `${NAMES[answer.activation] ?? answer.activation} of ${show(answer.input)}, from ${from}.`;
      case "normalization": return `(${show(answer.input)} − mean ${show(answer.mean)}) / spread ${show(answer.spread)} × ${show(answer.gamma)} + ${show(answer.beta)} = ${show(answer.after)}`;
      case "merge": return `${answer.how}: ${answer.parts.map((part) => `${show(part.input)} (${this.nameOf(part.layer)})`).join(", ")}`;
      case "global mean": return `The mean of the ${answer.count} values of map ${answer.channel + 1} of ${this.nameOf(answer.source)}.`;
      case "global maximum": return `The largest of the ${answer.count} values of map ${answer.channel + 1} of ${this.nameOf(answer.source)}, at ${this.place(answer.source, answer.winner)}.`;
      default: return "This layer's sums are not taken apart here.";
    }
  }

  place(layer, [y, x, channel]) {
    const { name, is_vector } = this.page.model.layers[layer];
    return is_vector ? `${name} ${x + 1}` : `${name}, map ${channel + 1}, row ${y + 1}, column ${x + 1}`;
  }

  /** Marks the cell and what it looked at. */
  draw() {
    const { answer } = this;
    this.lines.replaceChildren();
    const own = this.page.views.get(answer?.layer);
    if (!own || own.element.hidden) return;
    const base = this.lines.getBoundingClientRect();
    const absolute = (view, rectangle) => {
      const box = view.canvas.getBoundingClientRect();
      return rectangle && [rectangle[0] + box.left - base.left, rectangle[1] + box.top - base.top, rectangle[2], rectangle[3]];
    };
    const [y, x, channel] = answer.cell;
    const cell = absolute(own, own.rectangle([y], [x], channel));
    if (!cell) return;
    const centre = ([left, top, width, height]) => [left + width / 2, top + height / 2];
    const add = (name, attributes) => {
      const element = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      this.lines.append(element);
    };
    const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
    const frame = ([left, top, width, height], stroke, thick) =>
      add("rect", { x: left - 1, y: top - 1, width: width + 2, height: height + 2, fill: "none", stroke, "stroke-width": thick, rx: 1.5 });
    const double = (rectangle, stroke) => {
      frame(rectangle, "#ffffff", 3.5);
      frame(rectangle, stroke, 2);
    };
    const line = ([x1, y1], [x2, y2], stroke, opacity, thick = 1.5) => add("line", { x1, y1, x2, y2, stroke, "stroke-opacity": opacity, "stroke-width": thick });
    const source = this.page.views.get(answer.source);
    if (answer.xs?.length && answer.ys.length && source) {
      const channels = answer.parts ? source.shown : [answer.channel];
      for (const each of channels) {
        const rectangle = absolute(source, source.rectangle(answer.ys, answer.xs, each));
        if (rectangle) frame(rectangle, accent, 1.5);
      }
      const strongest = answer.parts ? answer.parts.find((part) => source.shown.includes(part.channel))?.channel : answer.channel;
      const from = absolute(source, source.rectangle(answer.ys, answer.xs, strongest));
      if (from) {
        const [left, top, width, height] = from;
        double(from, "#d9641c");
        line([left, top + height], [cell[0], cell[1]], "#d9641c", 0.85);
        line([left + width, top + height], [cell[0] + cell[2], cell[1]], "#d9641c", 0.85);
      }
    } else if (answer.kind === "dense") {
      const most = Math.max(1e-9, ...answer.parts.map((part) => Math.abs(part.product)));
      for (const part of answer.parts.slice(0, 16)) {
        const view = this.page.views.get(part.layer);
        const [py, px, pc] = part.cell;
        const from = view && absolute(view, view.rectangle([py], [px], pc));
        if (!from) continue;
        const colour = part.product < 0 ? "#2f7dc4" : "#d9641c";
        frame(from, colour, 1.5);
        line(centre(from), centre(cell), colour, 0.15 + (0.75 * Math.abs(part.product)) / most);
      }
    } else if (answer.from && source) {
      const [py, px, pc] = answer.from;
      const from = absolute(source, source.rectangle([py], [px], pc));
      if (from) {
        double(from, "#d9641c");
        line(centre(from), centre(cell), "#d9641c", 0.85);
      }
    }
    double(cell, "#d9641c");
  }
}
