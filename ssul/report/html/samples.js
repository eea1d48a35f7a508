const labels = new Map(data.labels.map(one => [one.id, one]));
const COLOURS = new Uint32Array(256);
for (const one of data.labels) COLOURS[one.id] = packed(...hex(one.colour));
const HATCHING = [packed(70, 66, 92), packed(227, 226, 234)];  // of the unknown

let blending = false;  // then the background lets the image through
const drawn = [];

function colourOf(id, place, side) {
  if (id === data.unknown) return HATCHING[((place % side) + Math.floor(place / side)) >> 2 & 1];
  return blending && id === 0 ? 0 : COLOURS[id];
}

const share = (pixels, all) => `${pixels && pixels < 0.0005 * all ? "< 0.1" : percent(pixels / all)}\u00a0%`;

/** The most frequent first: [name, pixels]. */
function counted(ids) {
  const counts = new Map();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

/** A card of a sample: image, annotation and, where there are pseudo-labels, these and what the loss gets. */
function sample(shown, completes) {
  const panels = make("div", { class: "panels" }), chips = make("ul", { class: "chips" });
  const title = make("h3", {}, shown.id, make("span", { class: "place" }, shown.place));
  if (shown.exemplar) title.append(make("span", { class: "badge" }, "exemplar"));
  const card = make("article", {}, title, panels, chips);
  if (shown.annotated) chips.before(make("p", { class: "note" }, `annotated: ${shown.annotated}`));
  const kinds = completes ? ["image", "annotation", "pseudo-labels", "trained on"] : ["image", "annotation"];
  const canvases = {};
  for (const kind of kinds) {
    const look = { image: "", "pseudo-labels": " changed" }[kind] ?? " mask";
    const stack = make("div", { class: `stack${look}`, style: "aspect-ratio:1" });
    stack.append(make("img", { src: shown.image, alt: `${kind} of ${shown.id}`, decoding: "async" }));
    if (kind !== "image") stack.append(canvases[kind] = make("canvas", { width: shown.side, height: shown.side }));
    stack.append(make("b"));
    panels.append(make("figure", {}, stack, make("figcaption", {}, kind)));
  }
  const all = shown.side ** 2;
  let annotated = null, trained = null;

  function draw() {
    if (!annotated) return;
    paint(canvases.annotation, place => colourOf(annotated[place], place, shown.side));
    if (!completes) return;
    paint(canvases["pseudo-labels"], place => trained[place] === annotated[place] ? 0 : colourOf(trained[place], place, shown.side));
    paint(canvases["trained on"], place => colourOf(trained[place], place, shown.side));
  }

  function wordsAt(place) {
    if (!annotated) return null;
    const before = labels.get(annotated[place]).name;
    if (!completes) return before;
    const after = labels.get(trained[place]).name;
    return before === after ? before : `annotated: ${before}\npseudo-label: ${after}`;
  }

  /** The labels of the sample and, below, what the pseudo-labels replaced. */
  function summary() {
    for (const [id, pixels] of counted(trained ?? annotated)) {
      const swatch = make("i", id === data.unknown ? { class: "hatched" } : { style: `background:${labels.get(id).colour}` });
      chips.append(make("li", {}, swatch, labels.get(id).name, make("span", {}, share(pixels, all))));
    }
    if (!completes) return;
    const changed = new Map();
    for (let place = 0; place < all; place++) {
      if (trained[place] === annotated[place]) continue;
      const words = `${labels.get(trained[place]).name} for ${labels.get(annotated[place]).name}`;
      changed.set(words, (changed.get(words) ?? 0) + 1);
    }
    const lines = [...changed].sort((one, other) => other[1] - one[1]).map(([words, pixels]) => `${words} ${share(pixels, all)}`);
    chips.after(make("p", { class: "note" }, lines.length ? `pseudo-labels: ${lines.join(", ")}` : "no pseudo-label"));
  }

  pointAt(card, { w: shown.side, h: shown.side }, wordsAt);
  const ready = unpack(shown.masks, all).then(([before, after]) => {
    [annotated, trained] = [before, after ?? null];
    summary();
  });
  whenSeen(card, () => ready.then(() => { drawn.push(draw); draw(); }));
  /** Whether the card is among those that are chosen. */
  const shows = which => which === "" || which === (shown.exemplar ? "exemplar" : "new") || (trained ?? annotated).includes(Number(which));
  return { card, ready, shows };
}

const cards = data.samples.map(one => sample(one, data.completes));
find("cards").append(...cards.map(one => one.card));

async function choose() {
  await Promise.all(cards.map(one => one.ready));
  const which = find("which").value;
  for (const one of cards) one.card.hidden = !one.shows(which);
  const left = cards.filter(one => !one.card.hidden).length;
  find("shown").textContent = `${left} of ${cards.length}`;
}

find("which").addEventListener("change", choose);
find("blend").addEventListener("change", event => {
  blending = document.body.classList.toggle("blend", event.target.checked);
  for (const draw of drawn) draw();
});
choose();
