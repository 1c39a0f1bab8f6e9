"use strict";

// What is chosen (run, split, language) decides which view of each section is shown, and which sentences the browser has.
// Its data are columns of numbers and the names they index, as ner/report/sentence_data.py writes them.
// What comes from the data reaches the page as text (textContent), never as markup.

const ARRAYS = {
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int16: Int16Array,
  float32: Float32Array, float64: Float64Array,
};
const GOLD = { column: "gold", begins: 1, ends: 2, same: 16 }; // bits of the column `marks`
const PREDICTED = { column: "predicted", begins: 4, ends: 8, same: 32 };
const STEPS = [0.1, 0.5, 1, 2, 4]; // losses where the shade changes: probabilities of 90, 61, 37, 14 and 2%
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const VIEW = "#sentences?";
const PLACE = ["run", "split", "language"]; // what is chosen for the whole page

const find = (id) => document.getElementById(id);
const form = find("filters");
const controls = [...form.elements].filter((control) => control.name);
const list = find("list");
const detail = find("detail");
const narrow = matchMedia("(max-width: 40rem)");

let data; // what read() gives
let shown; // the place of the views
let defaults; // the form's values when nothing is filtered
let view = { key: null, chosen: [], page: 1, pages: 1 };
let typing = null; // the control whose keystrokes share one entry of the history
let active = null; // the word whose details are shown
let leaving = 0;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Data

async function read() {
  const binary = atob(find("data").textContent);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const columns = {};
  for (const [name, [type, offset, size]] of Object.entries(header.columns)) {
    columns[name] = new ARRAYS[type](buffer, 4 + length + offset, size);
  }
  find("data").remove(); // the text is a copy of what is now in the columns
  return { header, columns, count: columns.number.length, orders: {}, lower: null };
}

// Sentences in the order of a column, greatest or lowest first; those without a number at the end.
function ordered(name, ascending) {
  const { columns, count, orders } = data;
  const kept = `${name} ${ascending}`;
  if (orders[kept]) return orders[kept];
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  if (name === "data") {
    if (ascending) order.reverse();
  } else {
    const sign = ascending ? -1 : 1;
    const key = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const value = name === "length" ? columns.start[i + 1] - columns.start[i] : columns[name][i];
      key[i] = Number.isNaN(value) ? -Infinity : sign * value;
    }
    order.sort((a, b) => (key[a] < key[b] ? 1 : key[a] > key[b] ? -1 : a - b));
  }
  return (orders[kept] = order);
}

// For each term, which forms of words hold it.
function formsWith(terms, matchCase) {
  const { header } = data;
  if (!matchCase) data.lower ??= header.texts.map((text) => text.toLowerCase());
  const texts = matchCase ? header.texts : data.lower;
  return terms.map((term) => {
    const wanted = matchCase ? term : term.toLowerCase();
    return Uint8Array.from(texts, (text) => (text.includes(wanted) ? 1 : 0));
  });
}

// Sentences that the filters keep, in order.
function choose(state) {
  const { header, columns, count } = data;
  const { start, gold, predicted, form: forms } = columns;
  const keep = new Uint8Array(count).fill(1);
  const only = (holds) => {
    for (let i = 0; i < count; i++) if (keep[i] && !holds(i)) keep[i] = 0;
  };
  for (const name of PLACE) {
    const code = header[name].indexOf(state[name]);
    if (state[name]) only((i) => columns[name][i] === code);
  }
  const least = Number.parseFloat(state.loss);
  if (least > 0) only((i) => columns.max[i] >= least);
  if (state.label_error) only((i) => !Number.isNaN(columns.label_error[i]));
  const type = state.type ? header.types.indexOf(state.type) : null;
  if (state.error === "none") only((i) => !columns.kinds[i]);
  else if (state.error) {
    const kind = header.kinds.indexOf(state.error); // -1: any
    const wrong = new Uint8Array(count);
    columns.error_sentence.forEach((sentence, i) => {
      const ofType = type === null || columns.error_gold[i] === type || columns.error_predicted[i] === type;
      if (ofType && (kind < 0 || columns.error_kind[i] === kind)) wrong[sentence] = 1;
    });
    only((i) => wrong[i]);
  }
  const flipped = state.flipped || (state.flip ? "any" : "");
  if (flipped) {
    const probe = header.flips.probes.indexOf(flipped); // -1: any
    const kind = header.flips.kinds.indexOf(state.flip);
    const asked = flipped === "none" ? null : type;
    const { flip_start, flip_probe, flip_kind, flip_before_type, flip_after_type } = columns;
    only((i) => {
      for (let f = flip_start[i]; f < flip_start[i + 1]; f++) {
        const ofType = asked === null || flip_before_type[f] === asked || flip_after_type[f] === asked;
        if (ofType && (probe < 0 || flip_probe[f] === probe) && (kind < 0 || flip_kind[f] === kind)) return flipped !== "none";
      }
      return flipped === "none";
    });
  }
  const isOfWhat = [state.error, flipped].some((what) => what && what !== "none"); // whose type it is
  if (type !== null && !isOfWhat) {
    const ofType = header.type_of.map((of) => of === type);
    only((i) => {
      for (let w = start[i]; w < start[i + 1]; w++) if (ofType[gold[w]] || ofType[predicted[w]]) return true;
      return false;
    });
  }
  const terms = state.words.split(/\s+/u).filter(Boolean);
  if (terms.length) {
    const held = formsWith(terms, state.case);
    only((i) => {
      for (let w = start[i]; w <= start[i + 1] - terms.length; w++) {
        let k = 0;
        while (k < terms.length && held[k][forms[w + k]]) k++;
        if (k === terms.length) return true;
      }
      return false;
    });
  }
  return ordered(state.order, state.ascending).filter((i) => keep[i]);
}

// The view: the form's values and a page, in the address as #sentences?language=de&page=2

function readForm() {
  const value = (control) => (control.type === "checkbox" ? (control.checked ? control.value : "") : control.value);
  return Object.fromEntries(controls.map((control) => [control.name, value(control)]));
}

function writeForm(state) {
  for (const control of controls) {
    const value = state[control.name];
    if (control.type === "checkbox") control.checked = value === control.value;
    else control.value = value;
    if (control.value === "" && value) control.value = defaults[control.name]; // a name that is not in this data
  }
}

function address(state, page) {
  const given = new URLSearchParams(Object.entries(state).filter(([name, value]) => value !== defaults[name]));
  if (page > 1) given.set("page", page);
  return VIEW + given;
}

function follow() {
  if (location.hash && !location.hash.startsWith(VIEW)) return; // a section of the page
  const given = new URLSearchParams(location.hash.slice(VIEW.length));
  writeForm({ ...defaults, ...Object.fromEntries(given) });
  typing = null;
  show(Number.parseInt(given.get("page"), 10) || 1);
}

// Shows a page of what the form asks for. remember: "push" or "replace" of the history, or nothing.
function show(page, remember) {
  const begun = performance.now();
  const state = readForm();
  const key = JSON.stringify(state);
  if (key !== view.key) view = { key, chosen: choose(state) };
  showViews(state);
  const size = Number(state.size);
  view.pages = Math.max(1, Math.ceil(view.chosen.length / size));
  view.page = Math.min(Math.max(1, page), view.pages);
  hideDetail();
  const first = (view.page - 1) * size;
  list.start = first + 1;
  list.replaceChildren(...Array.from(view.chosen.subarray(first, first + size), sentenceItem));
  const chosen = view.chosen.length.toLocaleString("en");
  const all = sentencesOf(state).toLocaleString("en");
  find("status").textContent = chosen === all ? `${all} sentences` : `${chosen} of ${all} sentences`;
  find("message").textContent = view.chosen.length ? "" : `No sentence matches: ${conditions(state)}.`;
  find("page").value = view.page;
  find("page").max = view.pages;
  find("pages").textContent = `of ${view.pages.toLocaleString("en")}`;
  find("previous").setAttribute("aria-disabled", view.page === 1);
  find("next").setAttribute("aria-disabled", view.page === view.pages);
  const here = address(state, view.page);
  find("link").href = here;
  if (remember && here !== location.hash) history[`${remember}State`](null, "", here);
  performance.measure("view", { start: begun });
}

// The filters that are set, in words.
function conditions(state) {
  const set = controls.filter(({ name }) => !["order", "ascending", "size"].includes(name) && state[name] !== defaults[name]);
  const words = set.map((control) => {
    const label = control.labels[0].querySelector("span").textContent.toLowerCase();
    if (control.type === "checkbox") return label;
    const value = control.options ? control.selectedOptions[0].textContent : control.value;
    return `${label} “${value}”`;
  });
  return words.join(", ");
}

// How many sentences the run and split have.
function sentencesOf(state) {
  const { header, columns } = data;
  const run = header.run.indexOf(state.run);
  const split = header.split.indexOf(state.split);
  let found = 0;
  columns.run.forEach((code, i) => (found += code === run && columns.split[i] === split));
  return found;
}

// Sections

function showViews(state) {
  const place = JSON.stringify(PLACE.map((name) => state[name]));
  if (place === shown) return;
  shown = place;
  for (const box of document.querySelectorAll(".view")) {
    const template = [...box.parentElement.querySelectorAll("template")].find((one) => one.dataset.place === place);
    box.replaceChildren(template ? template.content.cloneNode(true) : element("p", "", "There is nothing of this choice."));
    sortable(box);
  }
}

// A header sorts the rows of its table by its column: numbers the greatest first, text from a to z, then the other way.
function sortable(box) {
  for (const header of box.querySelectorAll("thead th")) {
    if (header.closest("table").tBodies[0].rows.length < 3) continue;
    const button = element("button", "sort", header.textContent);
    button.type = "button";
    button.addEventListener("click", () => sortBy(header));
    header.replaceChildren(button);
  }
}

function sortBy(header) {
  const body = header.closest("table").tBodies[0];
  const texts = new Map([...body.rows].map((row) => [row, row.cells[header.cellIndex].firstChild.textContent]));
  const isNumber = header.classList.contains("number");
  const value = (row) => Number.parseFloat(texts.get(row).replaceAll(",", ""));
  const sign = header.ariaSort === (isNumber ? "descending" : "ascending") ? -1 : 1;
  const compare = (a, b) => {
    if (!isNumber) return sign * texts.get(a).localeCompare(texts.get(b));
    const [first, second] = [value(a), value(b)];
    if (Number.isNaN(first) || Number.isNaN(second)) return Number.isNaN(first) - Number.isNaN(second); // at the end
    return sign * (second - first);
  };
  body.append(...[...body.rows].sort(compare));
  for (const other of header.parentElement.cells) other.ariaSort = null;
  header.ariaSort = (sign > 0) === isNumber ? "descending" : "ascending";
}

// Sentences

function sentenceItem(i) {
  const { header, columns } = data;
  const item = element("li");
  const about = element("p", "about");
  const place = `${header.language[columns.language[i]]} · ${columns.number[i]}`;
  about.append(element("bdi", "place", place));
  for (const [name, label] of [["total", "total"], ["mean", "mean"], ["max", "greatest"], ["label_error", "label-error score"]]) {
    const value = columns[name]?.[i];
    if (value !== undefined && !Number.isNaN(value)) about.append(" ", element("span", "", `${label} ${number(value, 2)}`));
  }
  header.kinds.forEach((kind, bit) => {
    if (columns.kinds[i] & (1 << bit)) about.append(" ", element("span", "error", kind));
  });
  const words = element("p", "words");
  words.setAttribute("role", "group");
  words.setAttribute("aria-label", place);
  words.dir = direction(i);
  const language = header.language[columns.language[i]];
  if (/^[a-z]{2,3}$/.test(language)) words.lang = language;
  for (let w = columns.start[i]; w < columns.start[i + 1]; w++) {
    const word = wordElement(header.texts[columns.form[w]], columns.loss[w], mark(w, GOLD), mark(w, PREDICTED));
    word.dataset.word = w;
    word.tabIndex = w === columns.start[i] ? 0 : -1;
    word.setAttribute("role", "button");
    words.append(word, " ");
  }
  item.append(about, words);
  if (columns.flip_start?.[i] < columns.flip_start?.[i + 1]) item.append(flipsElement(i, words));
  return item;
}

// What probes flipped in a sentence; open where the filters are about that.
function flipsElement(i, words) {
  const { header: { flips }, columns } = data;
  const made = element("details", "flips");
  made.open = ["flipped", "flip"].some((name) => form.elements[name].value);
  const rows = element("dl");
  const probes = [];
  let cell;
  for (let f = columns.flip_start[i]; f < columns.flip_start[i + 1]; f++) {
    const probe = flips.probes[columns.flip_probe[f]];
    if (probes.at(-1) !== probe) {
      probes.push(probe);
      cell = element("dd");
      rows.append(element("dt", probe === form.elements.flipped.value ? "asked" : "", probe), cell);
    }
    const flip = element("span", "flip");
    flip.append(element("span", "kind", flips.kinds[columns.flip_kind[f]]));
    const sides = ["before", "after"].map((side) => flippedEntity(f, side)).filter(Boolean);
    flip.append(" ", ...sides.flatMap((side, k) => (k ? [" → ", side] : [side])));
    cell.append(flip, " ");
  }
  made.append(element("summary", "", `flipped by ${probes.join(", ")}`), rows);
  rows.lang = words.lang;
  return made;
}

// The entity on one side of a flip, null where there is none.
function flippedEntity(f, side) {
  const { header: { flips }, columns } = data;
  const type = columns[`flip_${side}_type`][f];
  if (type < 0) return null;
  const made = element("span");
  made.append(element("bdi", "", visible(flips.texts[columns[`flip_${side}`][f]])), " ", element("b", "", flips.types[type]));
  return made;
}

// Of the first letter: `auto` would not look into words, which are isolated from each other.
function direction(i) {
  const { header, columns } = data;
  for (let w = columns.start[i]; w < columns.start[i + 1]; w++) {
    const letter = /\p{L}/u.exec(header.texts[columns.form[w]]);
    if (letter) return RIGHT_TO_LEFT.test(letter[0]) ? "rtl" : "ltr";
  }
  return "ltr";
}

// The entity that a word is in, on one side; null outside.
function mark(w, side) {
  const { header, columns } = data;
  const type = header.type_of[columns[side.column][w]];
  if (type < 0) return null;
  const bits = columns.marks[w];
  return { type: header.types[type], begins: bits & side.begins, ends: bits & side.ends, same: bits & side.same };
}

function wordElement(text, loss, gold, predicted) {
  const word = element("span", "word");
  const shade = Number.isNaN(loss) ? "none" : STEPS.filter((step) => loss >= step).length;
  const shown = element("bdi", `text loss-${shade}`, visible(text));
  if (shown.textContent !== text) shown.classList.add("code");
  word.append(bracket("gold", gold), shown, bracket("predicted", predicted));
  return word;
}

function bracket(side, entity) {
  const made = element("span", `mark ${side}`);
  made.setAttribute("aria-hidden", "true"); // the details say it
  if (!entity) return made;
  made.classList.add("entity");
  for (const name of ["begins", "ends", "same"]) if (entity[name]) made.classList.add(name);
  if (entity.begins) made.textContent = entity.type;
  return made;
}

// A word of white space or control characters, which would not be seen, as its code points.
function visible(text) {
  if (!/^[\p{C}\p{Z}]*$/u.test(text)) return text;
  const codes = Array.from(text, (c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
  return codes.join(" ") || "(empty)";
}

function number(value, digits) {
  return Number.isNaN(value) ? "–" : value.toFixed(digits);
}

// Details of a word

function showDetail(word) {
  clearTimeout(leaving);
  if (word === active && !detail.hidden) return;
  hideDetail();
  active = word;
  const { header, columns } = data;
  const w = Number(word.dataset.word);
  const pieces = header.sub_tokens[columns.form[w]];
  const rows = element("dl");
  const row = (name, ...values) => {
    const cell = element("dd");
    cell.append(...values);
    rows.append(element("dt", "", name), cell);
  };
  row("word", element("bdi", "", visible(header.texts[columns.form[w]])));
  row("gold", header.tags[columns.gold[w]]);
  row("predicted", header.tags[columns.predicted[w]]);
  row("loss", number(columns.loss[w], 4));
  row("p(gold)", number(columns.p_gold[w], 4));
  row("p(predicted)", number(columns.p_predicted[w], 4));
  row("entropy", number(columns.entropy[w], 4));
  const parts = pieces === "" ? ["none"] : pieces.split("\x1f").map((piece) => element("bdi", "piece", piece));
  row("sub-tokens", ...parts.flatMap((part) => [part, " "]));
  detail.replaceChildren(rows);
  detail.hidden = false;
  word.classList.add("active");
  word.setAttribute("aria-describedby", "detail");
  placeDetail(word.getBoundingClientRect());
}

function placeDetail(box) {
  const { offsetWidth: width, offsetHeight: height } = detail;
  if (narrow.matches) {
    detail.style.left = detail.style.top = "";
    scrollBy(0, Math.max(0, box.bottom - (innerHeight - height - 8))); // it is docked below
    return;
  }
  const screen = document.documentElement;
  const above = box.bottom + height + 12 > screen.clientHeight && box.top > height + 12;
  const left = Math.max(8, Math.min(box.left, screen.clientWidth - width - 8));
  detail.style.left = `${left + scrollX}px`;
  detail.style.top = `${(above ? box.top - height - 4 : box.bottom + 4) + scrollY}px`;
}

function hideDetail() {
  clearTimeout(leaving);
  detail.hidden = true;
  active?.classList.remove("active");
  active?.removeAttribute("aria-describedby");
  active = null;
}

const wordAt = (target) => (target instanceof Element && list.contains(target) ? target.closest(".word") : null);

function overWord(event) {
  if (event.pointerType === "touch") return; // a tap gives the focus
  const word = wordAt(event.target);
  clearTimeout(leaving);
  if (word) showDetail(word);
  else if (active && !detail.contains(event.target)) {
    leaving = setTimeout(() => {
      const focused = wordAt(document.activeElement);
      if (focused) showDetail(focused);
      else hideDetail();
    }, 150);
  }
}

function focusWord(event) {
  const word = wordAt(event.target);
  if (!word) return;
  for (const other of word.parentElement.children) other.tabIndex = other === word ? 0 : -1;
  showDetail(word);
}

function keyOnWord(event) {
  const word = wordAt(event.target);
  if (!word || event.ctrlKey || event.altKey || event.metaKey) return;
  const forward = word.parentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
  const backward = forward === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
  const all = word.parentElement.children;
  const moves = {
    [forward]: word.nextElementSibling, [backward]: word.previousElementSibling, Home: all[0], End: all[all.length - 1],
  };
  if (event.key in moves) moves[event.key]?.focus();
  else if (event.key === "Enter" || event.key === " ") showDetail(word);
  else return;
  event.preventDefault();
}

// Start

function fill(name, options) {
  const control = form.elements[name];
  control.append(...options.map(([text, value]) => new Option(text, value)));
  control.closest("label").hidden = options.filter(([, value]) => value).length < 2;
}

function start() {
  const { header, columns } = data;
  const names = (name) => header[name].map((one) => [one, one]);
  for (const name of ["run", "split"]) fill(name, names(name));
  fill("language", [...(header.language.length > 1 ? [["all", ""]] : []), ...names("language")]);
  fill("type", [["all", ""], ...header.types.map((type) => [type, type])]);
  const kinds = header.kinds.map((kind) => [kind, kind]);
  fill("error", [["all sentences", ""], ["any error", "any"], ...kinds, ["no error", "none"]]);
  const probes = header.flips ? header.flips.probes.map((probe) => [probe, probe]) : [];
  fill("flipped", [["all sentences", ""], ...(probes.length ? [["any probe", "any"], ...probes, ["no probe", "none"]] : [])]);
  fill("flip", [["any", ""], ...(probes.length ? header.flips.kinds.map((kind) => [kind, kind]) : [])]);
  if (!columns.label_error) {
    form.elements.label_error.closest("label").hidden = true;
    form.elements.order.querySelector("[value=label_error]").remove();
  }
  if (find("choice").dataset.run) form.elements.run.value = find("choice").dataset.run;
  defaults = readForm();
  legend();
  for (const part of [form, find("legend"), find("bar"), find("choice").lastElementChild]) part.hidden = false;
  document.querySelectorAll("#sections section > .content:not(.view)").forEach(sortable);
  const height = () => document.documentElement.style.setProperty("--choice", `${find("choice").offsetHeight}px`);
  new ResizeObserver(height).observe(find("choice"));

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    typing = null;
    const state = readForm();
    writeForm({ ...defaults, ...Object.fromEntries(PLACE.map((name) => [name, state[name]])) });
    show(1, "push");
  });
  form.addEventListener("input", ({ target }) => {
    if (!["search", "number"].includes(target.type)) return;
    show(1, target === typing ? "replace" : "push");
    typing = target;
  });
  for (const part of [form, find("choice")]) {
    part.addEventListener("change", ({ target }) => {
      typing = null;
      if (!["search", "number"].includes(target.type)) show(1, "push");
    });
  }
  const turn = (page) => {
    if (page < 1 || page > view.pages) return;
    show(page, "push");
    if (list.getBoundingClientRect().top < 0) find("list").scrollIntoView();
  };
  find("previous").addEventListener("click", () => turn(view.page - 1));
  find("next").addEventListener("click", () => turn(view.page + 1));
  find("page").addEventListener("change", ({ target }) => {
    turn(Math.min(Math.max(1, Number.parseInt(target.value, 10) || 1), view.pages));
  });
  document.addEventListener("pointerover", overWord);
  document.addEventListener("pointerdown", ({ target }) => {
    if (!wordAt(target) && !detail.contains(target)) hideDetail();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hideDetail();
  });
  list.addEventListener("focusin", focusWord);
  list.addEventListener("focusout", () => {
    if (!detail.matches(":hover")) hideDetail(); // its text may be selected and copied
  });
  list.addEventListener("click", ({ target }) => wordAt(target)?.focus());
  list.addEventListener("keydown", keyOnWord);
  addEventListener("hashchange", follow);
  follow();
  if (location.hash.startsWith(VIEW)) find("browser").scrollIntoView();
}

function legend() {
  const names = ["below 0.1", ...STEPS.slice(1).map((step, i) => `${STEPS[i]} to ${step}`), "4 and more"];
  names.forEach((name, i) => find("scale").append(" ", element("span", `text loss-${i}`, name)));
  find("scale").append(" ", element("span", "text loss-none", "no sub-token"));
  const type = (name, begins, ends, same) => ({ type: name, begins, ends, same });
  const words = element("span", "words");
  words.append(
    wordElement("Anna", 0, type("PER", 1, 0, 1), type("PER", 1, 0, 1)), " ",
    wordElement("Frei", 0, type("PER", 0, 1, 1), type("PER", 0, 1, 1)), " ",
    wordElement("mag", 0, null, null), " ",
    wordElement("Bad", 0.3, type("LOC", 1, 0, 0), null), " ",
    wordElement("Ragaz", 2.4, type("LOC", 0, 1, 0), type("ORG", 1, 1, 0)),
  );
  const text = "Above a word gold entities, below it, dashed, predicted ones; grey where they agree. "
    + "Point at a word, tap it, or go there by Tab and arrow keys for its figures.";
  find("example").append(words, element("span", "", text));
}

if (typeof DecompressionStream === "undefined") {
  find("message").textContent = "This browser is too old to unpack the sentences; those made since 2023 can.";
} else {
  read().then(
    (got) => {
      data = got;
      start();
    },
    (error) => {
      find("message").textContent = `The sentences cannot be read, the file may be incomplete (${error.message}).`;
    },
  );
}
