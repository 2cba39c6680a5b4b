"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const palette = bytes(data.palette);
  const classes = data.classes.map(({ name, scores, offsets }) => ({
    name,
    scores: new Float32Array(bytes(scores).buffer),
    offsets: new Uint32Array(bytes(offsets).buffer), // empty where a block is a cell
  }));
  const [rows, columns] = data.blocks;
  const stage = find("stage");
  let shown = classes[Number(document.querySelector("[name=class]:checked").value)];
  let at = null; // the block pointed at; null is the strongest

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

  // the strongest cell of a block, along both axes
  function cell(block) {
    const corner = [Math.floor(block / columns) * data.side, (block % columns) * data.side];
    if (data.side === 1) return corner;
    const offset = shown.offsets[block];
    return [corner[0] + Math.floor(offset / data.side), corner[1] + (offset % data.side)];
  }

  function read() {
    const block = at ?? strongest();
    const score = shown.scores[block];
    const [row, column] = cell(block);
    const [top, left] = [row * data.stride[0], column * data.stride[1]];
    const [high, wide] = data.window;
    find("label").textContent = shown.name;
    find("score").textContent = Number.isNaN(score) ? "no number" : digits(score);
    find("cell").textContent = `row ${row}, column ${column}${at === null ? ", highest" : ""}`;
    find("place").textContent =
      `left ${pixels(left)}, top ${pixels(top)}, ` +
      `${pixels(wide)} wide, ${pixels(high)} high`.replaceAll(" ", "\u00a0");
    find("mark").hidden = Number.isNaN(score);
    find("mark").style.left = percent(place(score), 1);
    const box = find("box");
    box.hidden = false;
    box.style.left = percent(left + wide / 2, data.size[1]);
    box.style.top = percent(top + high / 2, data.size[0]);
    box.style.width = percent(wide, data.size[1]);
    box.style.height = percent(high, data.size[0]);
  }

  function point(event) {
    const area = stage.getBoundingClientRect();
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

  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  function step(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Home") {
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
  }

  function fade() {
    const { value } = find("opacity");
    find("heat").style.opacity = value / 100;
    find("percent").textContent = `${value} %`;
  }

  function choose(event) {
    shown = classes[Number(event.target.value)];
    paint();
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

  stage.addEventListener("pointermove", point);
  stage.addEventListener("pointerdown", point);
  stage.addEventListener("keydown", step);
  find("opacity").addEventListener("input", fade);
  document.querySelector("fieldset").addEventListener("change", choose);
  lay();
  drawScale();
  fade();
  paint();
  read();
})();
