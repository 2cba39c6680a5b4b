const SIGNAL_PART = 0.26; // of the stage, above the lines
const GAP = 14;
const AXIS = 24; // pixels below the lines
const TIMES = [
  ...[-6, -5, -4, -3, -2, -1, 0].flatMap((k) => [1, 2, 5].map((m) => m * 10 ** k)),
  ...[10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400],
];

function draw() {
  const [wide, high] = [stage.clientWidth, stage.clientHeight];
  const canvas = find("graph");
  const ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [wide * ratio, high * ratio];
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const x = (sample) => ((sample - view[0]) / span()) * wide;
  const bottom = high - AXIS;
  const top = SIGNAL_PART * high + GAP;
  const y = (score) => bottom - ((score - data.low) / (data.high - data.low)) * (bottom - top);
  drawTicks(pen, x, wide, bottom);
  drawScores(pen, y, wide);
  drawSignal(pen, wide, SIGNAL_PART * high);
  drawPadding(pen, x, bottom);
  const others = !find("others") || find("others").checked ? classes : [];
  others.filter((one) => one !== shown).forEach((one) => drawLine(pen, one, x, y, wide, 1, 0.45));
  drawLine(pen, shown, x, y, wide, 2, 1);
  shown.events.forEach(([cell, , , score]) => drawEvent(pen, x(centre(cell)), y(score)));
}

function drawSignal(pen, wide, high) {
  const parts = signal.length / 2;
  const first = (pixel) => ((view[0] + (pixel / wide) * span()) / size) * parts;
  pen.fillStyle = "#8a8a8a";
  for (let pixel = 0; pixel < wide; pixel += 1) {
    const from = clamp(Math.floor(first(pixel)), 0, parts - 1);
    const to = clamp(Math.ceil(first(pixel + 1)), from + 1, parts);
    let [low, top] = [255, 0];
    for (let k = from; k < to; k += 1) {
      low = Math.min(low, signal[2 * k]);
      top = Math.max(top, signal[2 * k + 1]);
    }
    pen.fillRect(pixel, high * (1 - top / 255) + 4, 1, Math.max((high * (top - low)) / 255, 1));
  }
}

// of more blocks than pixels, the strongest of each pixel
function drawLine(pen, one, x, y, wide, thick, opacity) {
  const at = (sample) => Math.floor((sample - data.first[0]) / stride / side);
  const [from, to] = [clamp(at(view[0]) - 1, 0, count - 1), clamp(at(view[1]) + 1, 0, count - 1)];
  [pen.strokeStyle, pen.lineWidth, pen.globalAlpha] = [colour(one), thick, opacity];
  pen.setLineDash(classes.indexOf(one) < data.colours.length ? [] : [6, 3]);
  pen.beginPath();
  let isLine = false;
  const each = Math.max(1, Math.floor((to - from + 1) / (2 * wide)));
  const isFar = (to - from) * 12 < wide; // so few that each can be seen
  for (let start = from - (from % each); start <= to; start += each) {
    let best = start;
    for (let k = start + 1; k < Math.min(start + each, count); k += 1) {
      if (one.scores[k] > one.scores[best] || Number.isNaN(one.scores[best])) best = k;
    }
    const score = one.scores[best];
    if (Number.isFinite(score)) {
      const place = [x(centre(cell(one, best))), y(score)];
      if (isLine) pen.lineTo(...place);
      else pen.moveTo(...place);
      if (isFar) {
        pen.arc(...place, 1.5, 0, 2 * Math.PI);
        pen.moveTo(...place);
      }
    }
    isLine = Number.isFinite(score);
  }
  pen.stroke();
  pen.globalAlpha = 1;
  pen.setLineDash([]);
}

function drawEvent(pen, x, y) {
  pen.beginPath();
  pen.arc(x, y, 4, 0, 2 * Math.PI);
  [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = ["#fff", "#000", 1.5];
  pen.fill();
  pen.stroke();
}

function drawScores(pen, y, wide) {
  [data.low, (data.low + data.high) / 2, data.high].forEach((score) => {
    pen.fillStyle = "#3a3a3e";
    pen.fillRect(0, Math.round(y(score)), wide, 1);
    pen.fillStyle = "#b5b5b5";
    pen.fillText(digits(score), 6, y(score) - 4);
  });
}

function drawTicks(pen, x, wide, bottom) {
  const each = tickStep(wide / 90);
  const scale = data.coordinates ? data.coordinates.spacing[0] : 1;
  const first = data.coordinates ? world([0])[0] : 0;
  const label = (sample) => placed(sample, each / scale);
  [pen.strokeStyle, pen.lineWidth, pen.textAlign] = ["#3a3a3e", 1, "center"];
  for (let k = Math.ceil((first + view[0] * scale) / each); ; k += 1) {
    const sample = (k * each - first) / scale;
    if (sample > view[1]) break;
    pen.fillStyle = "#3a3a3e";
    pen.fillRect(Math.round(x(sample)), 0, 1, bottom + 4);
    pen.fillStyle = "#b5b5b5";
    const words = label(sample) + unit();
    const half = pen.measureText(words).width / 2;
    pen.fillText(words, clamp(x(sample), half + 4, wide - half - 4), bottom + 17);
  }
  pen.textAlign = "left";
}

// units, or samples, from tick to tick: no more ticks than some
function tickStep(most) {
  const seen = span() * (data.coordinates ? data.coordinates.spacing[0] : 1);
  if (data.clock) return TIMES.find((step) => seen / step <= most) ?? TIMES[TIMES.length - 1];
  const tens = 10 ** Math.floor(Math.log10(seen / most));
  const round = [1, 2, 5, 10].map((m) => m * tens).find((step) => seen / step <= most + 1e-9);
  return data.coordinates ? round : Math.max(1, round);
}

function drawPadding(pen, x, bottom) {
  if (data.unpadded[0] === data.cells[0]) return;
  const place = x(data.first[0] + data.unpadded[0] * stride);
  pen.setLineDash([6, 4]);
  [pen.strokeStyle, pen.lineWidth] = ["#fff", 1.5];
  pen.beginPath();
  pen.moveTo(place, 0);
  pen.lineTo(place, bottom);
  pen.stroke();
  pen.setLineDash([]);
}

stage.addEventListener("pointermove", move);
stage.addEventListener("pointerdown", point);
stage.addEventListener("wheel", wheel, { passive: false });
stage.addEventListener("keydown", press);
window.addEventListener("resize", draw);
document.querySelectorAll("#zoom button").forEach((button) => {
  button.addEventListener("click", () => zoomAt(Number(button.value), 0.5));
});
document.querySelectorAll("fieldset .swatch").forEach((swatch, k) => {
  swatch.style.background = colour(classes[k]);
});
document.querySelector("fieldset").addEventListener("change", (event) => {
  choose(Number(event.target.value));
});
find("others")?.addEventListener("change", draw);
listEvents();
look(0, size);
