// The whole network from the side: each layer's strongest maps as a stack in perspective.

const HEIGHT = 300;
const MAPS = 6;
const SHIFT = 15;

export class Depth {
  constructor(canvas, page) {
    this.canvas = canvas;
    this.page = page;
    this.context = canvas.getContext("2d");
    this.small = document.createElement("canvas").getContext("2d");
  }

  /** The maps of a layer with the largest values, the strongest last. */
  strongest(view) {
    const { low, high } = view.planes;
    const strength = low.map((value, i) => [Math.max(Math.abs(value), Math.abs(high[i])), i]);
    strength.sort((a, b) => a[0] - b[0]);
    return strength.slice(-MAPS).map(([, i]) => i);
  }

  draw() {
    const views = [...this.page.views.values()].filter((view) => view.planes);
    const sizes = views.map((view) => (view.layer.is_vector ? 14 : 34 + 100 * Math.min(1, Math.sqrt(view.height / 64))));
    const widths = views.map((view, i) => (view.layer.is_vector ? 34 : 0.62 * sizes[i] + SHIFT * Math.min(MAPS, view.planes.low.length)) + 28);
    const width = Math.max(320, widths.reduce((a, b) => a + b, 20));
    // Made to fit, unless that would make it too small.
    const scale = Math.min(1, Math.max(0.6, this.canvas.parentElement.clientWidth / width));
    const ratio = scale * Math.max(1, window.devicePixelRatio || 1);
    this.canvas.width = width * ratio;
    this.canvas.height = HEIGHT * ratio;
    this.canvas.style.width = `${width * scale}px`;
    this.canvas.style.height = `${HEIGHT * scale}px`;
    const { context } = this;
    const style = getComputedStyle(document.documentElement);
    let left = 24;
    views.forEach((view, i) => {
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = style.getPropertyValue("--quiet");
      context.font = `${Math.round(11 / scale)}px system-ui, sans-serif`;
      // Long names would run into the next layer's.
      context.fillText(view.layer.name, left, HEIGHT - 26, widths[i] - 8);
      context.fillText(view.layer.shape.join("×"), left, HEIGHT - 8, widths[i] - 8);
      if (view.layer.is_vector) this.column(view, left, ratio);
      else this.stack(view, left, sizes[i], ratio);
      left += widths[i];
    });
  }

  stack(view, left, size, ratio) {
    const { context } = this;
    const pixels = view.pixels();
    const maps = this.strongest(view);
    const middle = (HEIGHT - 40) / 2;
    maps.forEach((map, place) => {
      const x = left + place * SHIFT;
      const y = middle - size / 2 - 0.18 * size + (place - maps.length / 2) * 2;
      // A map turned to the side: narrower, its far edge lower.
      context.setTransform(0.62 * ratio, 0.3 * ratio, 0, ratio, x * ratio, y * ratio);
      context.imageSmoothingEnabled = view.height > size;
      context.shadowColor = "rgb(0 0 0 / .35)";
      context.shadowBlur = 5;
      context.drawImage(pixels, 0, map * view.height, view.width, view.height, 0, 0, size, size);
      context.shadowBlur = 0;
      context.strokeStyle = "rgb(255 255 255 / .55)";
      context.lineWidth = 1;
      context.strokeRect(0, 0, size, size);
    });
  }

  column(view, left, ratio) {
    const { context } = this;
    const pixels = view.pixels();
    const count = Math.min(view.width, 64);
    const each = Math.min(18, (HEIGHT - 70) / count);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = false;
    const top = (HEIGHT - 40 - each * count) / 2;
    for (let i = 0; i < count; i++) {
      const from = Math.floor((i * view.width) / count);
      context.drawImage(pixels, from, 0, 1, 1, left, top + i * each, 16, Math.max(1, each - (each > 4 ? 1 : 0)));
      const name = view.layer.index === this.page.model.output && each > 9 && this.page.model.classes[from];
      if (name) {
        context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
        context.font = "11px system-ui, sans-serif";
        context.fillText(name.slice(0, 12), left + 21, top + i * each + 12);
      }
    }
  }
}
