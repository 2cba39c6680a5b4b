const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const classes = data.classes.map(({ scores, offsets, ...rest }) => ({
  ...rest,
  scores: new Float32Array(bytes(scores).buffer),
  offsets: new Uint32Array(bytes(offsets).buffer), // empty where a block is a cell
}));
const stage = find("stage");
let shown = classes[Number(document.querySelector("[name=class]:checked").value)];

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = (part, whole) => `${(100 * part) / whole}%`;
const digits = (value) => String(Number(value.toPrecision(4)));

function strongest() {
  let best = 0;
  for (let k = 1; k < shown.scores.length; k += 1) {
    if (shown.scores[k] > shown.scores[best] || Number.isNaN(shown.scores[best])) best = k;
  }
  return best;
}

// where in the world a place in pixels lies
function world(place) {
  return data.coordinates.matrix.map((row) =>
    row.reduce((sum, number, axis) => sum + number * (axis < place.length ? place[axis] : 1), 0),
  );
}

// decimals that tell one step from the next
const decimals = (step) => clamp(Math.ceil(-Math.log10(step) - 1e-9), 0, 12);

const inWords = (score) => (Number.isNaN(score) ? "no number" : digits(score));

// a place in units, half a pixel told from a whole one
function inUnits(place) {
  const { names, unit, spacing } = data.coordinates;
  const few = decimals(Math.min(...spacing) / 2);
  return world(place)
    .map((value, axis) => `${names[axis]}\u00a0${value.toFixed(few)}\u00a0${unit}`)
    .join(", ");
}
