const KINDS = ["image", "ground truth", "prediction", "error"];
const classes = new Map(data.classes.map(one => [one.id, one]));
const last = data.scores.length - 1;

// ---- colours

const COLOURS = new Uint32Array(256);
for (const one of data.classes) COLOURS[one.id] = packed(...hex(one.colour));
COLOURS[VOID] = packed(...hex(data.void));
const MISSED = packed(0, 114, 178), INVENTED = packed(230, 159, 0), CONFUSED = packed(204, 63, 143);
const SKIPPED = [packed(128, 128, 128, 150), packed(190, 190, 190, 150)];

let blending = false;  // then the background lets the image through
const colourOf = id => blending && id === 0 ? 0 : COLOURS[id];

/** The class that counts as the truth of a pixel after a step, or VOID where none does. */
function countedTruth(id, step) {
  if (id === VOID) return VOID;
  const since = classes.get(id).step;
  if (since !== null && since <= step) return id;
  return data.future === "background" ? 0 : VOID;
}

// ---- one image: four pictures that share a pointer

/** A card of an image. `cell` is [truth, prediction] where only these pixels matter. */
function picture(id, shown, { cell = null, note = "" } = {}) {
  const iou = make("span", {}, note), chips = make("ul", { class: "chips" });
  const panels = make("div", { class: "panels" });
  const card = make("article", {}, make("h3", {}, id, " ", iou), panels, chips);
  const canvases = {};
  for (const kind of KINDS) {
    const look = { "ground truth": " mask", prediction: " mask", error: " errors", image: "" }[kind];
    const stack = make("div", { class: `stack${look}`, style: `aspect-ratio:${shown.w}/${shown.h}` });
    if (shown.image) stack.append(make("img", { src: shown.image, alt: `${kind} of ${id}`, decoding: "async" }));
    if (kind !== "image") stack.append(canvases[kind] = make("canvas", { width: shown.w, height: shown.h }));
    stack.append(make("b"));
    panels.append(make("figure", {}, stack, make("figcaption", {}, kind)));
  }
  let truth = null, predictions = null, step = last;

  function errorAt(place, prediction) {
    const right = countedTruth(truth[place], step), found = prediction[place];
    if (cell) return right === cell[0] && found === cell[1] ? CONFUSED : 0;
    if (right === VOID) return SKIPPED[((place % shown.w) + Math.floor(place / shown.w)) >> 2 & 1];
    if (right === found) return 0;
    return right === 0 ? INVENTED : found === 0 ? MISSED : CONFUSED;
  }

  /** IoU of every class of this image after the step, in the order of the ids. */
  function scores(prediction) {
    const counts = new Map();
    const of = id => counts.get(id) ?? counts.set(id, [0, 0]).get(id);  // intersection, union
    for (let place = 0; place < truth.length; place++) {
      const right = countedTruth(truth[place], step), found = prediction[place];
      if (right === VOID) continue;
      of(right)[1]++;
      if (right === found) of(right)[0]++;
      else of(found)[1]++;
    }
    return new Map([...counts].map(([id, [both, either]]) => [id, both / either]).sort((one, other) => one[0] - other[0]));
  }

  let now = new Map();
  function draw() {
    if (!predictions) return;
    const prediction = predictions[predictions.length === 1 ? 0 : step];
    paint(canvases["ground truth"], place => colourOf(truth[place]));
    paint(canvases.prediction, place => colourOf(prediction[place]));
    paint(canvases.error, place => errorAt(place, prediction));
    now = scores(prediction);
    const values = [...now.values()];
    if (!note) iou.textContent = `IoU ${percent(values.reduce((sum, one) => sum + one, 0) / values.length)} %`;
    chips.replaceChildren(...[...now].map(([one, value]) => {
      const { name, colour } = classes.get(one);
      return make("li", {}, make("i", { style: `background:${colour}` }), name, make("span", {}, `${percent(value)} %`));
    }));
  }

  function wordsAt(place) {
    if (!predictions) return null;
    const right = truth[place], found = predictions[predictions.length === 1 ? 0 : step][place];
    const lines = [`ground truth: ${right === VOID ? "void, not evaluated" : classes.get(right).name}`];
    const since = right === VOID ? 0 : classes.get(right).step;
    if (since === null) lines[0] += ", never learned";
    else if (since > step) lines[0] += `, learned at step ${since}`;
    lines.push(`prediction: ${classes.get(found).name}`);
    const here = now.has(found) ? `${percent(now.get(found))}\u00a0% in this image, ` : "";
    lines.push(`IoU of ${classes.get(found).name}: ${here}${percent(classes.get(found).iou[step])}\u00a0% in all images`);
    return lines.join("\n");
  }

  pointAt(card, shown, wordsAt);
  whenSeen(card, async () => {
    [truth, ...predictions] = await unpack(shown.masks, shown.w * shown.h);
    draw();
  });
  drawn.push(draw);
  return { card, show: to => { step = to; draw(); } };
}

const drawn = [];

// ---- the slider over the steps

const slider = find("step"), moved = [];

function go(step) {
  step = Math.max(0, Math.min(last, step));
  if (slider) {
    slider.value = step;
    const names = data.scores[step].learned, few = names.slice(0, 4).join(", ") + (names.length > 4 ? ", …" : "");
    find("stepname").textContent = `after step ${step} of ${last}: ${few}`;
    find("back").disabled = step === 0;
    find("on").disabled = step === last;
  }
  for (const show of moved) show(step);
}

if (slider) {
  for (const [id, shown] of data.examples) {
    const one = picture(id, shown);
    moved.push(one.show);
    find("gallery").append(one.card);
  }
  slider.addEventListener("input", () => go(Number(slider.value)));
  find("back").addEventListener("click", () => go(Number(slider.value) - 1));
  find("on").addEventListener("click", () => go(Number(slider.value) + 1));
  find("blend").addEventListener("change", event => {
    blending = document.body.classList.toggle("blend", event.target.checked);
    for (const draw of drawn) draw();
  });
  document.addEventListener("keydown", event => {
    if (event.target.closest("input, select, td") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") go(Number(slider.value) - 1);
    if (event.key === "ArrowRight") go(Number(slider.value) + 1);
  });
}

// ---- tables of coloured cells: one stop of the tab key each, arrows within

function grid(table, press) {
  const rows = [...table.tBodies[0].rows].map(row => [...row.cells].slice(1));
  if (!rows.length) return;
  rows[0][0].tabIndex = 0;
  const words = event => event.target.closest("td[data-tip]");
  table.addEventListener("pointermove", event => {
    const cell = words(event);
    if (cell) showTip(cell.dataset.tip, event.clientX, event.clientY); else hideTip();
  });
  table.addEventListener("pointerleave", hideTip);
  table.addEventListener("focusout", hideTip);
  table.addEventListener("focusin", event => {
    const cell = words(event), box = cell?.getBoundingClientRect();
    if (cell) showTip(cell.dataset.tip, box.right, box.bottom);
  });
  table.addEventListener("click", event => words(event) && press?.(words(event)));
  table.addEventListener("keydown", event => {
    const row = rows.findIndex(cells => cells.includes(event.target));
    if (row < 0) return;
    const column = rows[row].indexOf(event.target);
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); press?.(event.target); return; }
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const next = move && rows[row + move[0]]?.[column + move[1]];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

grid(find("heat"));
grid(find("matrix"), cell => {
  if (!cell.dataset.cell) return;
  for (const one of find("matrix").querySelectorAll("[aria-pressed]")) one.removeAttribute("aria-pressed");
  cell.setAttribute("aria-pressed", "true");
  const pair = cell.dataset.cell.split("-").map(Number), images = data.cells[cell.dataset.cell] ?? [];
  const cards = images.map(([id, share]) =>
    picture(id, data.images[id], { cell: pair, note: `${percent(share)} % of the image` }).card);
  const few = cards.length ? "The images with the most of these pixels, which are marked:" : "No image of it is kept on this page.";
  find("behind").replaceChildren(make("h3", {}, cell.dataset.tip), make("p", { class: "note" }, few), make("div", { class: "cards" }, ...cards));
});

// ---- the worst images

function worst(name) {
  find("worstlist").replaceChildren(...data.worst[name].map(([id, iou]) =>
    picture(id, data.images[id], { note: `${name ? `IoU of ${name}` : "IoU"} ${percent(iou)} %` }).card));
}

worst("");
find("worstof")?.addEventListener("change", event => worst(event.target.value));

// ---- curves

/** A line chart: curves of [x, y] with y up to `top`, and where the names of their ends stand. */
function chart(curves, { width, height, most, top, xs, ys, label }) {
  const right = label ? 70 : 12, x = at => 38 + (width - 38 - right) * at / (most || 1), y = at => height - 24 - (height - 34) * at / top;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  for (const tick of ys) svg.append(
    make("line", { class: "grid", x1: 38, x2: width - right, y1: y(tick), y2: y(tick) }),
    make("text", { x: 32, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
  for (const [at, word] of xs) svg.append(make("text", { x: x(at), y: height - 6, "text-anchor": "middle" }, word));
  let low = Infinity;
  for (const { name, colour, points } of [...curves].sort((one, other) => one.points.at(-1)[1] - other.points.at(-1)[1])) {
    svg.append(make("path", { class: "curve", style: `stroke:${colour}`, d: `M${points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("L")}` }));
    if (points.length < 40) for (const [a, b] of points) svg.append(make("circle", { cx: x(a), cy: y(b), r: 3.5, style: `fill:${colour}` }));
    if (!label) continue;
    low = Math.min(low - 14, y(points.at(-1)[1]) + 4);
    svg.append(make("text", { class: "name", x: width - right + 10, y: low, style: `fill:${colour}` }, `${name} ${points.at(-1)[1].toFixed(1)}`));
  }
  return { svg, x };
}

const curves = (last ? ["old", "new", "all"] : ["all"])
  .map(name => ({ name, colour: `var(--${name})`, points: data.scores.filter(row => row[name] !== null).map(row => [row.step, 100 * row[name]]) }))
  .filter(one => one.points.length);
if (curves.length) {
  const width = Math.max(300, Math.min(720, find("curves").clientWidth)), height = 260;  // the letters keep their size
  const { svg, x } = chart(curves, {
    width, height, most: last, top: 100, ys: [0, 20, 40, 60, 80, 100], label: true,
    xs: data.scores.filter(row => row.step % Math.ceil(24 * data.scores.length / width) === 0)
      .map(row => [row.step, width < 75 * data.scores.length ? String(row.step) : `step ${row.step}`]),
  });
  svg.setAttribute("aria-label", "mean IoU of old, new and all classes after each step");
  const now = make("line", { class: "now", y1: 8, y2: 236 });
  svg.prepend(now);
  moved.push(step => { now.setAttribute("x1", x(step)); now.setAttribute("x2", x(step)); });
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) * width / box.width;
    const row = data.scores.reduce((best, one) => Math.abs(x(one.step) - at) < Math.abs(x(best.step) - at) ? one : best);
    const few = row.learned.slice(0, 6).join(", ") + (row.learned.length > 6 ? ", …" : "");
    showTip([`after step ${row.step}: ${few}`, ...curves.map(({ name }) => `${name} ${percent(row[name])} %`)].join("\n"), event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", hideTip);
  find("curves").append(svg);
}

for (const one of data.training) {
  const top = Math.max(...one.points.map(point => point[1])) || 1, digits = top >= 10 ? 0 : top >= 1 ? 1 : 3;
  const { svg } = chart([{ colour: "var(--accent)", points: one.points }], {
    width: 300, height: 150, most: one.iterations, top, ys: [0, Number((top / 2).toFixed(digits)), Number(top.toFixed(digits))],
    xs: [[0, "0"], [one.iterations, String(one.iterations)]],
  });
  svg.setAttribute("aria-label", `loss of step ${one.step}`);
  find("losses").append(make("figure", { style: "margin:0" }, svg, make("figcaption", {}, `step ${one.step}`)));
}

go(last);
