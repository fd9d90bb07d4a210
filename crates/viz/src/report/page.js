"use strict";
// The page is whole without this: the last epoch is shown then.
for (const group of document.querySelectorAll("[data-choose]")) {
  const buttons = [...group.querySelectorAll("button")];
  const show = (which) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === which));
    for (const part of document.querySelectorAll(`[data-${group.dataset.choose}]`)) {
      part.hidden = part.dataset[group.dataset.choose] !== which;
    }
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.value));
  group.hidden = false;
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}
const slider = document.getElementById("epoch");
if (slider) {
  const told = document.getElementById("epoch-told");
  const play = document.getElementById("play");
  const epochs = slider.dataset.epochs.split(",");
  const show = () => {
    const epoch = epochs[slider.value];
    for (const part of document.querySelectorAll("[data-epoch]")) part.hidden = part.dataset.epoch !== epoch;
    told.textContent = epoch === "0" ? "before training" : `after epoch ${epoch}`;
    slider.setAttribute("aria-valuetext", told.textContent);
    const last = Number(epochs[epochs.length - 1]) || 1;
    for (const now of document.querySelectorAll(".now")) {
      now.setAttribute("x1", 100 * epoch / last);
      now.setAttribute("x2", 100 * epoch / last);
    }
  };
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "play"; };
  slider.addEventListener("input", () => { stop(); show(); });
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    if (Number(slider.value) === epochs.length - 1) slider.value = 0;
    show();
    play.textContent = "stop";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === epochs.length - 1) stop();
    }, 700);
  });
  slider.closest(".when").hidden = false;
  show();
}
