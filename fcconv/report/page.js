"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const palette = bytes(data.palette);
  const classes = data.classes.map(({ scores, offsets, ...rest }) => ({
    ...rest,
    scores: new Float32Array(bytes(scores).buffer),
    offsets: new Uint32Array(bytes(offsets).buffer), // empty where a block is a cell
  }));
  const [rows, columns] = data.blocks;
  const stage = find("stage");
  let shown = classes[Number(document.querySelector("[name=class]:checked").value)];
  let at = null; // the block pointed at; null is the strongest
  const MOST_ZOOM = 64;
  let zoom = 1;
  let corner = [0, 0]; // top and left of the image, in parts of the stage, where it shows a part

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  const place = (score) => clamp((score - data.low) / (data.high - data.low), 0, 1);
  const digits = (value) => String(Number(value.toPrecision(4)));
  const pixels = (value) => String(Math.round(value * 10) / 10);

  function strongest() {
    let best = 0;
    for (let k = 1; k < shown.scores.length; k += 1) {
      if (shown.scores[k] > shown.scores[best] || Number.isNaN(shown.scores[best])) best = k;
    }
    return best;
  }

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
    const first = [Math.floor(block / columns) * data.side, (block % columns) * data.side];
    if (data.side === 1) return first;
    const offset = shown.offsets[block];
    return [first[0] + Math.floor(offset / data.side), first[1] + (offset % data.side)];
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
    find("score").textContent = Number.isNaN(score) ? "no number" : digits(score);
    find("cell").textContent = `row ${row}, column ${column}${at === null ? ", highest" : ""}`;
    find("place").textContent =
      `left ${pixels(left)}, top ${pixels(top)}, ` +
      `${pixels(wide)} wide, ${pixels(high)} high`.replaceAll(" ", "\u00a0");
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
      return Math.floor(clamp(nearest, 0, data.cells[axis] - 1) / data.side);
    });
    at = row * columns + column;
    read();
  }

  // Zoom --------------------------------------------------------------------------------------

  function look(closer, moved) {
    zoom = clamp(closer, 1, MOST_ZOOM);
    corner = moved.map((edge) => clamp(edge, 1 - zoom, 0));
    const { style } = find("view");
    [style.top, style.left] = corner.map((edge) => percent(edge, 1));
    style.width = style.height = percent(zoom, 1);
    stage.classList.toggle("zoomed", zoom > 1);
  }

  // what is at a place of the stage, in parts of it, stays there
  function zoomAt(closer, fixed) {
    const ratio = clamp(closer, 1, MOST_ZOOM) / zoom;
    look(closer, corner.map((edge, axis) => fixed[axis] - (fixed[axis] - edge) * ratio));
  }

  function wheel(event) {
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
    look(
      zoom,
      corner.map((edge, axis) => {
        const start = edge + (zoom * box[axis]) / data.size[axis];
        const length = (zoom * box[axis + 2]) / data.size[axis];
        return start < 0 || start + length > 1 ? edge + 0.5 - start - length / 2 : edge;
      }),
    );
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
      heat.style[side] = percent(data.blocks[axis] * data.side, data.cells[axis]);
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
  lay();
  drawScale();
  fade();
  paint();
  outlinePeaks();
  read();
})();
