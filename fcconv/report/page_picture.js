const palette = bytes(data.palette);
const [rows, columns] = data.blocks;
const [blockRows, blockColumns] = data.factor; // cells of a block
const MOST_ZOOM = 64;
const MOST_WIDTH = 2 ** 24; // pixels of the screen, half of what browsers lay out

let at = null; // the block pointed at; null is the strongest
let zoom = 1; // of the axis that is zoomed first
let corner = [0, 0]; // top and left of the image, in parts of the stage, where it shows a part

const place = (score) => clamp((score - data.low) / (data.high - data.low), 0, 1);
const pixels = (value) => String(Math.round(value * 10) / 10);

function paint() {
  const canvas = find("heat");
  [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  shown.scores.forEach((score, k) => {
    if (Number.isNaN(score)) return;
    const colour = 4 * Math.round(place(score) * 255);
    image.data.set(palette.subarray(colour, colour + 4), 4 * k);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// draw a box of the image as an element, by its centre, as small ones are drawn larger
function outline(element, [top, left, high, wide]) {
  element.style.left = percent(left + wide / 2, data.size[1]);
  element.style.top = percent(top + high / 2, data.size[0]);
  element.style.width = percent(wide, data.size[1]);
  element.style.height = percent(high, data.size[0]);
}

function outlinePeaks() {
  if (!find("outlined")) return;
  const { peaks, found } = shown;
  const few = peaks.length < found ? `, the strongest ${peaks.length} outlined` : "";
  find("count").textContent = `${found} ${found === 1 ? "peak" : "peaks"}${few}`;
  find("peaks").hidden = !find("outlined").checked;
  find("peaks").replaceChildren(
    ...peaks.map((box) => {
      const element = document.createElement("div");
      outline(element, box);
      return element;
    }),
  );
}

// the strongest cell of a block, along both axes
function cell(block) {
  const offset = shown.offsets[block] ?? 0;
  return [
    Math.floor(block / columns) * blockRows + Math.floor(offset / blockColumns),
    (block % columns) * blockColumns + (offset % blockColumns),
  ];
}

// the window that is read: its block, and its box in the image
function current() {
  const block = at ?? strongest();
  const starts = cell(block).map((number, axis) => number * data.stride[axis]);
  return { block, box: [...starts, ...data.window] };
}

function read() {
  const { block, box } = current();
  const score = shown.scores[block];
  const [row, column] = cell(block);
  const [top, left, high, wide] = box;
  find("label").textContent = shown.name;
  find("score").textContent = inWords(score);
  const padded = row >= data.unpadded[0] || column >= data.unpadded[1];
  find("cell").textContent =
    `row ${row}, column ${column}${at === null ? ", highest" : ""}` +
    (padded ? ", reaches into padding" : "");
  find("place").textContent =
    `left ${pixels(left)}, top ${pixels(top)}, ` +
    `${pixels(wide)} wide, ${pixels(high)} high`.replaceAll(" ", "\u00a0");
  if (data.coordinates) find("world").textContent = inUnits([top + high / 2, left + wide / 2]);
  find("mark").hidden = Number.isNaN(score);
  find("mark").style.left = percent(place(score), 1);
  find("box").hidden = false;
  outline(find("box"), box);
}

function point(event) {
  const area = find("view").getBoundingClientRect();
  const inside = [
    ((event.clientY - area.top) / area.height) * data.size[0],
    ((event.clientX - area.left) / area.width) * data.size[1],
  ];
  const [row, column] = inside.map((pixel, axis) => {
    const nearest = Math.floor((pixel - data.first[axis]) / data.stride[axis]);
    return Math.floor(clamp(nearest, 0, data.cells[axis] - 1) / data.factor[axis]);
  });
  at = row * columns + column;
  read();
}

// Zoom --------------------------------------------------------------------------------------

// how many times the stage draws a strip as high, and as wide, as it would be in proportion
function stretch() {
  if (!stage.classList.contains("strip")) return [1, 1];
  const ratio = (data.size[1] / data.size[0]) * (stage.clientHeight / stage.clientWidth);
  return [Math.max(ratio, 1), Math.max(1 / ratio, 1)];
}

// along both axes: a strip gets its proportions first
const zooms = (closer) => stretch().map((times) => Math.max(closer / times, 1));

function look(closer, moved) {
  const most = Math.max(MOST_ZOOM, 4 * Math.max(...stretch()));
  zoom = clamp(closer, 1, Math.min(most, MOST_WIDTH / Math.max(stage.clientWidth, 1)));
  const [down, right] = zooms(zoom);
  corner = moved.map((edge, axis) => clamp(edge, 1 - [down, right][axis], 0));
  const { style } = find("view");
  [style.top, style.left] = corner.map((edge) => percent(edge, 1));
  [style.height, style.width] = [percent(down, 1), percent(right, 1)];
  stage.classList.toggle("zoomed", zoom > 1);
  if (data.coordinates) measure(stage.getBoundingClientRect().width, right);
}

// what is at a place of the stage, in parts of it, stays there
function zoomAt(closer, fixed) {
  const [before, edges] = [zooms(zoom), corner];
  look(closer, edges); // as close as it goes
  const ratios = zooms(zoom).map((now, axis) => now / before[axis]);
  look(zoom, edges.map((edge, axis) => fixed[axis] - (fixed[axis] - edge) * ratios[axis]));
}

function wheel(event) {
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    return look(zoom, [corner[0], corner[1] - event.deltaX / stage.clientWidth]);
  }
  if (zoom === 1 && event.deltaY > 0) return; // scrolls the page
  event.preventDefault();
  const area = stage.getBoundingClientRect();
  zoomAt(zoom * 2 ** clamp(-event.deltaY / 200, -1, 1), [
    (event.clientY - area.top) / area.height,
    (event.clientX - area.left) / area.width,
  ]);
}

function move(event) {
  if (event.buttons === 0 || zoom === 1) {
    point(event);
  } else {
    const moved = [event.movementY / stage.clientHeight, event.movementX / stage.clientWidth];
    look(zoom, corner.map((edge, axis) => edge + moved[axis]));
  }
}

// bring the window that is read into sight
function reveal() {
  const { box } = current();
  const closer = zooms(zoom);
  look(
    zoom,
    corner.map((edge, axis) => {
      const start = edge + (closer[axis] * box[axis]) / data.size[axis];
      const length = (closer[axis] * box[axis + 2]) / data.size[axis];
      return start < 0 || start + length > 1 ? edge + 0.5 - start - length / 2 : edge;
    }),
  );
}

// a scale bar of a round length, about a fifth of the stage
function measure(width, closer) {
  const { spacing, ladder } = data.coordinates;
  const unit = (spacing[1] * data.size[1]) / (width * closer); // what a pixel of the screen is
  const wanted = unit * width * 0.2;
  const tens = 10 ** Math.floor(Math.log10(wanted));
  const far = (length) => Math.abs(Math.log(length / wanted));
  const length = [1, 2, 5, 10].map((m) => m * tens).reduce((a, b) => (far(b) < far(a) ? b : a));
  const [name, size] = ladder.findLast(([, one]) => length >= one * (1 - 1e-9)) ?? ladder[0];
  const number = Number((length / size).toPrecision(3));
  find("ruler").hidden = false;
  find("ruler").firstChild.style.width = `${length / unit}px`;
  find("ruler").lastChild.textContent =
    `${number.toLocaleString("en", { maximumFractionDigits: 12 })} ${name}`;
}

// Keys and controls -------------------------------------------------------------------------

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const ZOOMS = { "+": 2, "=": 2, "-": 0.5, 0: 0 };

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in ZOOMS) {
    zoomAt(zoom * ZOOMS[event.key], [0.5, 0.5]);
  } else if (event.key === "Home") {
    at = null;
  } else if (event.key in STEPS) {
    const from = at ?? strongest();
    const [down, right] = STEPS[event.key].map((way) => way * (event.shiftKey ? 10 : 1));
    const row = clamp(Math.floor(from / columns) + down, 0, rows - 1);
    at = row * columns + clamp((from % columns) + right, 0, columns - 1);
  } else {
    return;
  }
  event.preventDefault();
  read();
  reveal();
}

function fade() {
  const { value } = find("opacity");
  find("heat").style.opacity = value / 100;
  find("percent").textContent = `${value} %`;
}

function choose(event) {
  shown = classes[Number(event.target.value)];
  paint();
  outlinePeaks();
  read();
}

// where the map lies: the last blocks may reach beyond the last cell, and are cut there
function lay() {
  const [clip, heat] = [find("clip"), find("heat")];
  ["top", "left"].forEach((side, axis) => {
    clip.style[side] = percent(data.first[axis], data.size[axis]);
  });
  ["height", "width"].forEach((side, axis) => {
    clip.style[side] = percent(data.cells[axis] * data.stride[axis], data.size[axis]);
    heat.style[side] = percent(data.blocks[axis] * data.factor[axis], data.cells[axis]);
  });
  layPadded();
}

// a dashed line beyond which windows reach into padding
function layPadded() {
  const [y, x] = data.unpadded.map((cells, axis) => data.first[axis] + cells * data.stride[axis]);
  const lines = { across: [y, data.first[1], "width", x], down: [data.first[0], x, "height", y] };
  Object.entries(lines).forEach(([kind, [top, left, side, end]], axis) => {
    if (data.unpadded[axis] === data.cells[axis]) return;
    const line = document.createElement("i");
    line.className = kind;
    line.style.top = percent(top, data.size[0]);
    line.style.left = percent(left, data.size[1]);
    line.style[side] = percent(end - data.first[1 - axis], data.size[1 - axis]);
    find("padded").append(line);
  });
}

function drawScale() {
  const image = new ImageData(256, 1);
  palette.forEach((value, k) => {
    image.data[k] = k % 4 === 3 ? 255 : value;
  });
  find("bar").getContext("2d").putImageData(image, 0, 0);
  find("low").textContent = digits(data.low);
  find("middle").textContent = digits((data.low + data.high) / 2);
  find("high").textContent = digits(data.high);
}

find("view").addEventListener("pointermove", move);
find("view").addEventListener("pointerdown", point);
stage.addEventListener("wheel", wheel, { passive: false });
stage.addEventListener("keydown", press);
document.querySelectorAll("#zoom button").forEach((button) => {
  button.addEventListener("click", () => zoomAt(zoom * Number(button.value), [0.5, 0.5]));
});
find("outlined")?.addEventListener("change", outlinePeaks);
find("opacity").addEventListener("input", fade);
document.querySelector("fieldset").addEventListener("change", choose);
window.addEventListener("resize", () => look(zoom, corner));
look(1, corner);
lay();
drawScale();
fade();
paint();
outlinePeaks();
read();
