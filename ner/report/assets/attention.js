"use strict";

const encoders = JSON.parse(document.querySelector("#data").textContent);
const form = document.querySelector("#choice");
const message = document.querySelector("#status");
const SCALE = 65535;
const MEAN = "mean";

for (const encoder of encoders) {
  const bytes = Uint8Array.from(atob(encoder.weights), (letter) => letter.charCodeAt(0));
  encoder.numbers = new DataView(bytes.buffer);
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
}

function numbered(count) {
  return Array.from({ length: count }, (_, i) => [String(i + 1), String(i + 1)]);
}

/** The weight of one cell; head: from 0, or the mean over all. */
function weight(encoder, layer, head, row, column) {
  const [, heads, size] = encoder.shape;
  const of = (h) => encoder.numbers.getUint16(2 * (((layer * heads + h) * size + row) * size + column), true) / SCALE;
  if (head !== MEAN) return of(Number(head) - 1);
  let sum = 0;
  for (let h = 0; h < heads; h++) sum += of(h);
  return sum / heads;
}

function chosen() {
  return encoders[Number(form.encoder.value)];
}

/** Layers and heads of the encoder that is chosen; those that were chosen stay, where it has them. */
function offer() {
  const [layers, heads] = chosen().shape;
  const layer = form.layer.value && Number(form.layer.value) <= layers ? form.layer.value : String(layers);
  const head = form.head.value && Number(form.head.value) <= heads ? form.head.value : MEAN;
  fill(form.layer, numbered(layers), layer);
  fill(form.head, [[MEAN, `mean of ${heads}`], ...numbered(heads)], head);
}

function draw() {
  const encoder = chosen();
  const [layers, heads, size] = encoder.shape;
  const [layer, head] = [form.layer.value, form.head.value];
  encoders.forEach((other, i) => { document.querySelector(`#m${i}`).hidden = other !== encoder; });
  const figure = document.querySelector(`#m${form.encoder.value}`);
  const heading = head === MEAN ? `mean of ${heads} heads` : `head ${head} of ${heads}`;
  figure.querySelector("figcaption span").textContent = `layer ${layer} of ${layers}, ${heading}`;
  figure.querySelectorAll(".cells rect").forEach((cell, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    const value = weight(encoder, Number(layer) - 1, head, row, column);
    cell.setAttribute("fill-opacity", Math.sqrt(value).toFixed(3));
    const title = `${encoder.pieces[row]} from ${encoder.pieces[column]}: ${value.toFixed(3)}`;
    cell.querySelector("title").textContent = title;
  });
  message.textContent = "";
}

fill(form.encoder, encoders.map((encoder, i) => [String(i), encoder.name]), "0");
offer();
draw();
form.hidden = false;
form.addEventListener("change", () => { offer(); draw(); });
form.addEventListener("submit", (event) => event.preventDefault());
document.querySelector("main").addEventListener("pointerover", (event) => {
  const cell = event.target.closest("rect");
  if (cell) message.textContent = cell.querySelector("title").textContent;
});
