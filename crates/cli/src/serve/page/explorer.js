// The page of a model: sends what is drawn, shows what comes back.

import { onTheme } from "./colours.js";
import { Depth } from "./depth.js";
import { Inspector } from "./inspector.js";
import { LayerView, h } from "./maps.js";
import { Pad } from "./pad.js";

const $ = (id) => document.getElementById(id);

/** Bytes of maps that one answer is to hold. */
const MOST_BYTES = 6_000_000;

class Page {
  constructor(model) {
    this.model = model;
    this.views = new Map();
    this.scaleByMap = false;
    this.id = null;
    this.busy = false;
    this.next = null;
    this.asked = 0;
    $("model-name").textContent = `${model.name} · ${model.parameters.toLocaleString("en")} parameters`;
    for (const layer of model.layers) if (!layer.is_hidden) this.views.set(layer.index, new LayerView(layer, $("layers"), this));
    this.inspector = new Inspector(this);
    this.depth = new Depth($("depth-canvas"), this);
    this.watchVisibility();
    this.setInput();
    this.setButtons();
    onTheme(() => this.repaint());
    let room = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === room) return;
      room = innerWidth;
      for (const view of this.views.values()) view.arrange();
      this.repaint();
    });
    this.showClasses(model.classes.slice(0, 10).map((name, i) => [i, name, 0]));
  }

  watchVisibility() {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const view = this.views.get(Number(entry.target.id.slice(6)));
        view.visible = entry.isIntersecting;
        if (view.visible && this.id !== null && view.seen !== this.id) this.fetchFor(view);
      }
    }, { rootMargin: "300px" });
    for (const view of this.views.values()) observer.observe(view.element);
  }

  setInput() {
    const draws = this.model.colour === "grey" && this.model.takes === "digit";
    this.pad = new Pad($("pad"), () => this.drawn());
    $("pad").setAttribute("aria-label", "Drawing pad");
    if (!draws) {
      $("pad-title").textContent = "Show a picture";
      $("pad-hint").textContent = "drop a picture here";
      $("pad-help").textContent = "A picture can be dropped anywhere on the page: PNG, JPEG, BMP, GIF or WebP.";
      for (const id of ["pad", "clear", "undo"]) $(id).hidden = true;
    }
    $("clear").onclick = () => this.clear();
    $("undo").onclick = () => this.pad.undo();
    $("file").onchange = () => $("file").files[0] && this.picture($("file").files[0]);
    for (const kind of ["dragover", "dragleave", "drop"]) {
      addEventListener(kind, (event) => {
        event.preventDefault();
        document.body.classList.toggle("dropping", kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) this.picture(event.dataTransfer.files[0]);
      });
    }
  }

  setButtons() {
    const choose = (on, off) => {
      $(on).setAttribute("aria-pressed", "true");
      $(off).setAttribute("aria-pressed", "false");
    };
    const scale = (byMap) => {
      this.scaleByMap = byMap;
      choose(byMap ? "scale-map" : "scale-layer", byMap ? "scale-layer" : "scale-map");
      this.repaint();
    };
    $("scale-map").onclick = () => scale(true);
    $("scale-layer").onclick = () => scale(false);
    const view = async (deep) => {
      choose(deep ? "view-depth" : "view-maps", deep ? "view-maps" : "view-depth");
      $("depth").hidden = !deep;
      this.inspector.draw();
      if (!deep) return;
      this.depth.draw();
      await this.fetchWanted(this.wants());
      this.depth.draw();
    };
    $("view-depth").onclick = () => view(true);
    $("view-maps").onclick = () => view(false);
  }

  repaint() {
    this.pad.redraw();
    for (const view of this.views.values()) view.paint();
    if (!$("depth").hidden) this.depth.draw();
    this.inspector.draw();
  }

  clear() {
    $("photo").hidden = true;
    this.pad.clear();
  }

  drawn() {
    $("photo").hidden = true;
    $("pad-hint").hidden = !this.pad.isEmpty;
    if (this.pad.isEmpty) return this.empty();
    this.send(() => {
      const [bytes, side] = this.pad.bytes();
      return { query: `width=${side}&height=${side}`, type: "application/octet-stream", body: bytes };
    });
  }

  picture(file) {
    if (!file.type.startsWith("image/")) return this.problem("That is no picture.");
    URL.revokeObjectURL($("photo").src);
    $("photo").src = URL.createObjectURL(file);
    $("photo").hidden = false;
    $("pad-hint").hidden = true;
    this.send(() => ({ query: "", type: file.type, body: file }));
  }

  empty() {
    this.next = null;
    this.asked += 1;
    this.id = null;
    for (const view of this.views.values()) view.forget();
    this.inspector.close();
    this.showClasses(this.model.classes.slice(0, 10).map((name, i) => [i, name, 0]));
    $("guess").textContent = "–";
    $("sure").textContent = "nothing yet";
    $("timing").textContent = "";
    this.problem("");
    if (!$("depth").hidden) this.depth.draw();
  }

  problem(text) {
    $("problem").textContent = text;
  }

  /** Sends an input; while one is under way only the newest waits. */
  async send(make) {
    this.next = make;
    if (this.busy) return;
    this.busy = true;
    while (this.next) {
      const input = this.next();
      this.next = null;
      const number = ++this.asked;
      const start = performance.now();
      try {
                const response = await fetch(`/api/input?want=${this.wants()}&${input.query}`, { method: "POST", headers: { "Content-Type": input.type }, body: input.body });
        if (!response.ok) throw new Error((await response.json()).error);
        const packed = await response.arrayBuffer();
        if (number !== this.asked) continue;
        this.take(packed, start);
      } catch (error) {
        this.problem(error instanceof TypeError ? "The server does not answer; is it still running?" : error.message);
        document.documentElement.dataset.failed = number;
        await new Promise((done) => setTimeout(done, 200));
      }
    }
    this.busy = false;
  }

  take(packed, start) {
    const head = this.unpack(packed);
    this.id = head.id;
    this.problem("");
    this.showClasses(head.top);
    const [, name, p] = head.top[0] ?? [0, "–", 0];
    $("guess").textContent = name;
    $("guess").classList.toggle("long", name.length > 3);
    $("sure").textContent = `${(100 * p).toFixed(1)} % sure`;
    if ($("spoken").textContent !== `Read: ${name}`) $("spoken").textContent = `Read: ${name}`;
    if (!$("depth").hidden) this.depth.draw();
    const trip = performance.now() - start;
    $("timing").textContent = `network ${head.ms.toFixed(1)} ms, pen to picture ${trip.toFixed(0)} ms`;
    Object.assign(document.documentElement.dataset, { answered: head.id, ms: head.ms, trip });
    const { answer } = this.inspector;
    if (answer && $("lines").childElementCount) this.ask(answer.layer, { y: answer.cell[0], x: answer.cell[1], channel: answer.cell[2] });
  }

  unpack(packed) {
    const length = new DataView(packed).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(packed, 4, length)));
    let offset = 4 + length;
    for (const planes of head.planes) {
      const view = this.views.get(planes.layer);
      const size = view.height * view.width * planes.low.length;
      if (planes.from === view.from) {
        view.take(planes, new Uint8Array(packed, offset, size));
        view.seen = head.id;
      }
      offset += size;
    }
    return head;
  }

  /** What is to be sent: the layers in view, and for the stacks as many others as one answer may hold. */
  wants() {
    const all = [...this.views.values()];
    const wanted = all.filter((view) => view.visible);
    if (!$("depth").hidden) {
      let left = MOST_BYTES - wanted.reduce((sum, view) => sum + view.bytes, 0);
      for (const view of all.filter((view) => !view.visible)) if ((left -= view.bytes) > 0) wanted.push(view);
    }
    return wanted.map((view) => view.want).join(",");
  }

  /** Fetches a layer's maps of the picture that was sent last. */
  async fetchFor(view) {
    await this.fetchWanted(view.want);
  }

  async fetchWanted(want) {
    if (this.id === null) return;
    const id = this.id;
    const response = await fetch(`/api/planes?id=${id}&want=${want}`);
    if (response.ok && id === this.id) this.unpack(await response.arrayBuffer());
  }

  showClasses(top) {
    const rows = top.length && this.model.classes.length <= 10 ? [...top].sort((a, b) => a[0] - b[0]) : top;
    const best = Math.max(...top.map(([, , p]) => p), 1e-9);
    const list = $("bars");
    while (list.childElementCount > rows.length) list.lastChild.remove();
    rows.forEach(([, name, p], i) => {
      if (i >= list.childElementCount) {
        list.append(h("li", {}, h("span", { className: "name" }), h("span", { className: "track" }, h("div", { className: "bar" })), h("span", { className: "percent" })));
      }
      const item = list.children[i];
      item.className = p === best && p > 0 ? "best" : "";
      item.children[0].textContent = item.children[0].title = name;
      item.children[1].firstChild.style.width = `${100 * p}%`;
      item.children[2].textContent = p > 0 ? `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)} %` : "";
    });
  }

  onCell(view, cell, same) {
    if (same && this.inspector.answer?.layer === view.layer.index && $("lines").childElementCount) return;
    this.ask(view.layer.index, cell);
  }

  onLeave() {}

  /** Asks how a cell came about; while one question is under way only the newest waits. */
  async ask(layer, cell) {
    this.question = { layer, cell };
    if (this.asking || this.id === null) return;
    this.asking = true;
    while (this.question) {
      const { layer, cell } = this.question;
      this.question = null;
      try {
        const response = await fetch(`/api/cell?id=${this.id}&layer=${layer}&y=${cell.y}&x=${cell.x}&channel=${cell.channel}`);
        const answer = await response.json();
        if (response.ok && this.id !== null) this.inspector.show(answer);
      } catch {
        this.problem("The server does not answer; is it still running?");
      }
    }
    this.asking = false;
  }
}

const response = await fetch("/api/model");
const model = await response.json();
if (!response.ok) $("problem").textContent = model.error;
else {
  new Page(model);
  document.documentElement.dataset.ready = "yes";
}
