// Colour maps as tables of 256 entries, packed for ImageData (little-endian ABGR). Viridis for values from 0 up, a blue-to-orange map
// for signed ones: both can be told apart with any kind of colour vision.

const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
const SIGNED_LIGHT = ["1b4f8f", "2166ac", "5b9bcb", "abcfe5", "f4f4f2", "f9cfa6", "ec9550", "c95f1a", "8f3d0c"];
const SIGNED_DARK = ["9fd0ff", "5fa8e6", "2f74b5", "1f4368", "1b2028", "5a3417", "a85a1c", "e88a3c", "ffc793"];
const GREY_LIGHT = ["000000", "ffffff"];

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const tables = new Map();

function rgb(hex) {
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function mix(stops, t) {
  const at = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  const [a, b] = [rgb(stops[i]), rgb(stops[i + 1])];
  return a.map((value, k) => Math.round(value + (b[k] - value) * (at - i)));
}

function stops(name) {
  if (name === "signed") return dark.matches ? SIGNED_DARK : SIGNED_LIGHT;
  return name === "grey" ? GREY_LIGHT : VIRIDIS;
}

/** The table of a map: "viridis", "signed" or "grey". */
export function table(name) {
  const key = name === "signed" && dark.matches ? "signed dark" : name;
  if (!tables.has(key)) {
    const packed = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      const [r, g, b] = mix(stops(name), i / 255);
      packed[i] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    tables.set(key, packed);
  }
  return tables.get(key);
}

/** A CSS colour of a map at 0..1, and the colour of readable text on it. */
export function css(name, t) {
  const [r, g, b] = mix(stops(name), t);
  const light = 0.299 * r + 0.587 * g + 0.114 * b > 140;
  return [`rgb(${r} ${g} ${b})`, light ? "#10151d" : "#ffffff"];
}

/** A CSS gradient that shows a map. */
export function gradient(name) {
  return `linear-gradient(90deg, ${stops(name).map((hex) => "#" + hex).join(", ")})`;
}

/** Calls back when light turns to dark or back. */
export function onTheme(callback) {
  dark.addEventListener("change", callback);
}
