const [size] = data.size;
const [width] = data.window;
const [stride] = data.stride;
const [count] = data.blocks;
const [side] = data.factor; // cells of a block
const signal = bytes(data.signal); // lowest and highest of each part, 0 to 255
const closest = Math.min(size, Math.max(16 * stride, 64)); // samples that are seen, at least
let at = null; // the block pointed at, or {cell, score} of an event; null is the strongest
let view = [0, size]; // the samples that are seen

const colour = (one) => data.colours[classes.indexOf(one) % data.colours.length];
const span = () => view[1] - view[0];

// the strongest cell of a block of a class
const cell = (one, block) => block * side + (one.offsets[block] ?? 0);
const centre = (number) => number * stride + width / 2;

// Places in words ---------------------------------------------------------------------------

function clock(seconds, few) {
  const rounded = Math.abs(Number(seconds.toFixed(few)));
  const [hours, minutes] = [Math.floor(rounded / 3600), Math.floor(rounded / 60) % 60];
  const rest = (rounded % 60).toFixed(few).padStart(few ? few + 3 : 2, "0");
  return `${seconds < 0 && rounded ? "-" : ""}${hours}:${String(minutes).padStart(2, "0")}:${rest}`;
}

// a place of the recording, told from those a step beside it
function placed(sample, step) {
  if (!data.coordinates) return Math.round(sample).toLocaleString("en");
  const [value] = world([sample]);
  const few = decimals(step * data.coordinates.spacing[0]);
  return data.clock ? clock(value, few) : value.toFixed(few);
}

const unit = () => (data.coordinates && !data.clock ? `\u00a0${data.coordinates.unit}` : "");

// Reading -----------------------------------------------------------------------------------

// the window that is read: its cell and score, and the block that it is in
function current() {
  if (at !== null && typeof at === "object") return { ...at, block: Math.floor(at.cell / side) };
  const block = at ?? strongest();
  return { cell: cell(shown, block), score: shown.scores[block], block };
}

function read() {
  const { cell: number, score, block } = current();
  const start = number * stride;
  find("label").textContent = shown.name;
  find("score").textContent = inWords(score);
  find("cell").textContent =
    number.toLocaleString("en") +
    (at === null ? ", highest" : "") +
    (number >= data.unpadded[0] ? ", reaches into padding" : "");
  find("place").textContent =
    `${Math.round(start).toLocaleString("en")}, ${Math.round(width).toLocaleString("en")} long`;
  if (data.coordinates) {
    const ends = [start, start + width].map((sample) => placed(sample, stride));
    find("world").textContent = `${ends.join(" to ")}${unit()}`;
  }
  document.querySelectorAll("fieldset .best").forEach((element, k) => {
    element.textContent = inWords(classes[k].scores[block]);
  });
  document.querySelectorAll("#events button").forEach((button, k) => {
    button.toggleAttribute("aria-current", events[k].one === shown && events[k].cell === at?.cell);
  });
  const { style } = find("box");
  find("box").hidden = false;
  style.left = percent(start + width / 2 - view[0], span());
  style.width = percent(width, span());
}

function point(event) {
  const area = stage.getBoundingClientRect();
  const sample = view[0] + ((event.clientX - area.left) / area.width) * span();
  const nearest = Math.floor((sample - data.first[0]) / stride);
  at = Math.floor(clamp(nearest, 0, data.cells[0] - 1) / side);
  read();
}

// Zoom --------------------------------------------------------------------------------------

function look(from, samples) {
  const seen = clamp(samples, closest, size);
  const start = clamp(from, 0, size - seen);
  view = [start, start + seen];
  stage.classList.toggle("zoomed", seen < size);
  find("part").style.left = percent(start, size);
  find("part").style.width = percent(seen, size);
  draw();
  read();
}

// what is at a part of the stage stays there
function zoomAt(closer, part) {
  const samples = clamp(closer ? span() / closer : size, closest, size);
  look(view[0] + part * (span() - samples), samples);
}

function wheel(event) {
  const area = stage.getBoundingClientRect();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    look(view[0] + (event.deltaX / area.width) * span(), span());
  } else if (span() === size && event.deltaY > 0) {
    return; // scrolls the page
  } else {
    zoomAt(2 ** clamp(-event.deltaY / 200, -1, 1), (event.clientX - area.left) / area.width);
  }
  event.preventDefault();
}

function move(event) {
  if (event.buttons === 0 || span() === size) point(event);
  else look(view[0] - (event.movementX / stage.clientWidth) * span(), span());
}

// bring the window that is read into sight
function reveal() {
  const middle = centre(current().cell);
  const isSeen = middle - width / 2 >= view[0] && middle + width / 2 <= view[1];
  look(isSeen ? view[0] : middle - span() / 2, span());
}

// Events, keys and controls -----------------------------------------------------------------

const events = classes
  .flatMap((one) => one.events.map(([cell, start, length, score]) => ({ one, cell, start, length, score })))
  .sort((a, b) => a.cell - b.cell);

function seek({ one, cell: number, score }) {
  choose(classes.indexOf(one));
  at = { cell: number, score };
  const samples = Math.min(span(), Math.max(20 * width, closest));
  look(centre(number) - samples / 2, samples);
}

// the event before or after what is read
function step(way) {
  const { cell: number } = current();
  const ahead = events.filter((event) => (event.cell - number) * way > 0);
  const next = way > 0 ? ahead[0] : ahead[ahead.length - 1];
  if (next) seek(next);
}

function listEvents() {
  if (!find("events")) return;
  const found = classes.reduce((sum, { found: n }) => sum + n, 0);
  const few = events.length < found ? ", the strongest of each class listed" : "";
  find("count").textContent = `${found.toLocaleString("en")} ${found === 1 ? "peak" : "peaks"}${few}`;
  find("events").replaceChildren(
    ...events.map((event) => {
      const [item, button] = ["li", "button"].map((name) => document.createElement(name));
      const words = {
        when: placed(event.start, stride) + unit(),
        swatch: "",
        name: event.one.name,
        best: digits(event.score),
      };
      Object.entries(words).forEach(([kind, text]) => {
        const part = document.createElement("span");
        [part.className, part.textContent] = [kind, text];
        if (kind === "swatch") part.style.background = colour(event.one);
        button.append(part);
      });
      button.type = "button";
      button.addEventListener("click", () => seek(event));
      item.append(button);
      return item;
    }),
  );
}

function choose(number) {
  shown = classes[number];
  document.querySelectorAll("[name=class]")[number].checked = true;
  if (at !== null && typeof at === "object") at = Math.floor(at.cell / side);
  draw();
  read();
}

const ZOOMS = { "+": 2, "=": 2, "-": 0.5, 0: 0 };
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
const EVENTS = { PageUp: -1, PageDown: 1 };

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in ZOOMS) {
    zoomAt(ZOOMS[event.key], 0.5);
  } else if (event.key in EVENTS && events.length) {
    step(EVENTS[event.key]);
  } else if (event.key === "Home") {
    at = null;
    reveal();
  } else if (event.key in STEPS) {
    const way = STEPS[event.key] * (event.shiftKey ? 10 : 1);
    at = clamp(current().block + way, 0, count - 1);
    reveal();
  } else {
    return;
  }
  event.preventDefault();
}
