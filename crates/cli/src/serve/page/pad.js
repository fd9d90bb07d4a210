// The pad: ink by pointer or by keys, and its grey bytes for the network.

const SIDE = 224;
const PEN = 17;
const MARGIN = 6;
const STEP = 8;

export class Pad {
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    canvas.width = canvas.height = SIDE;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.strokes = [];
    this.stroke = null;
    this.cursor = null;
    this.penDown = false;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.stroke = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.redraw());
    canvas.addEventListener("blur", () => {
      this.penDown = false;
      this.redraw();
    });
    this.redraw();
  }

  get isEmpty() {
    return this.strokes.length === 0;
  }

  position(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  }

  begin(event) {
    if (event.button) return;
    this.cursor = null;
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch {
      // A pointer made by a program cannot be captured; it draws all the same.
    }
    this.stroke = [this.position(event)];
    this.strokes.push(this.stroke);
    this.change();
  }

  move(event) {
    if (!this.stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.stroke.push(this.position(each));
    this.change();
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move && ![" ", "Delete", "Backspace", "Escape"].includes(event.key)) return;
    event.preventDefault();
    this.cursor ??= [SIDE / 2, SIDE / 4];
    if (move) {
      const far = event.shiftKey ? 3 : 1;
      this.cursor = this.cursor.map((at, i) => Math.min(Math.max(at + move[i] * STEP * far, PEN), SIDE - PEN));
      if (!this.penDown) return this.redraw();
      this.stroke.push([...this.cursor]);
      this.change();
    } else if (event.key === " ") {
      this.penDown = !this.penDown;
      if (!this.penDown) {
        this.stroke = null;
        return this.redraw();
      }
      this.stroke = [[...this.cursor]];
      this.strokes.push(this.stroke);
      this.change();
    } else if (event.key === "Escape") {
      this.penDown = false;
      this.stroke = null;
      this.redraw();
    } else {
      this.clear();
    }
  }

  clear() {
    this.strokes = [];
    this.stroke = null;
    this.penDown = false;
    this.change();
  }

  undo() {
    this.strokes.pop();
    this.stroke = null;
    this.change();
  }

  change() {
    this.redraw();
    this.onChange();
  }

  ink(context, colour) {
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(...stroke[0]);
      for (const point of stroke) context.lineTo(...point);
      context.stroke();
    }
  }

  redraw() {
    const { context } = this;
    context.clearRect(0, 0, SIDE, SIDE);
    this.ink(context, getComputedStyle(document.documentElement).getPropertyValue("--ink"));
    if (this.cursor && document.activeElement === this.canvas) {
      const [x, y] = this.cursor;
      context.lineWidth = 2;
      context.strokeStyle = this.penDown ? "#d9641c" : "#2f7de1";
      context.beginPath();
      context.arc(x, y, PEN / 2 + 3, 0, 7);
      context.moveTo(x - 4, y);
      context.lineTo(x + 4, y);
      context.moveTo(x, y - 4);
      context.lineTo(x, y + 4);
      context.stroke();
    }
  }

  /** Black ink on white paper as grey bytes, with a margin of paper: [bytes, side]. */
  bytes() {
    const side = SIDE + 2 * MARGIN;
    this.hidden ??= new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    const context = this.hidden;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, side, side);
    context.setTransform(1, 0, 0, 1, MARGIN, MARGIN);
    this.ink(context, "#000");
    const { data } = context.getImageData(0, 0, side, side);
    const grey = new Uint8Array(side * side);
    for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
    return [grey, side];
  }
}
