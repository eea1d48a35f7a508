"use strict";
// What the pages share: data, words under the pointer, masks, and light and dark. The data lie in the page; nothing is
// fetched. Masks are zlib streams of class ids, which are exact where a canvas that reads an image back may not be.
const find = id => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const VOID = 255;
const percent = value => value === null || value === undefined ? "–" : (100 * value).toFixed(1);

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "g", "circle"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- the words under the pointer

const tip = find("tip");

function showTip(words, x, y) {
  tip.textContent = words;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - 16 - width : x + 16;
  const top = y + 16 + height > innerHeight ? y - 16 - height : y + 16;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

const hideTip = () => { tip.hidden = true; };

// ---- pictures

const packed = (r, g, b, a = 255) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;  // of a canvas, on all of today's machines
const hex = colour => [1, 3, 5].map(place => parseInt(colour.slice(place, place + 2), 16));

async function unpack(text, size) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const all = new Uint8Array(await new Response(stream).arrayBuffer());
  return Array.from({ length: all.length / size }, (_, place) => all.subarray(place * size, (place + 1) * size));
}

/** Colours each pixel of a canvas by its place. */
function paint(canvas, colour) {
  const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
  const target = new Uint32Array(pixels.data.buffer);
  for (let place = 0; place < target.length; place++) target[place] = colour(place);
  context.putImageData(pixels, 0, 0);
}

/** Marks the place under the pointer in all pictures of a card, and shows the words of that pixel; null shows none. */
function pointAt(card, { w, h }, words) {
  function leave() {
    card.classList.remove("pointing");
    hideTip();
  }
  function point(event) {
    const stack = event.target.closest(".stack");
    if (!stack) return leave();
    const box = stack.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width, down = (event.clientY - box.top) / box.height;
    const x = Math.min(w - 1, Math.max(0, Math.floor(across * w)));
    const y = Math.min(h - 1, Math.max(0, Math.floor(down * h)));
    const found = words(y * w + x);
    if (found === null) return;
    card.classList.add("pointing");
    for (const mark of card.querySelectorAll("b")) mark.style.cssText = `left:${100 * across}%;top:${100 * down}%`;
    showTip(found, event.clientX, event.clientY);
  }
  const panels = card.querySelector(".panels");
  panels.addEventListener("pointermove", point);
  panels.addEventListener("pointerdown", point);
  panels.addEventListener("pointerleave", leave);
}

const waiting = new WeakMap();
const watcher = new IntersectionObserver(entries => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    waiting.get(target)();
  }
}, { rootMargin: "400px" });

/** Does something as soon as a node comes near the screen: hundreds of pictures need not be drawn to open the page. */
function whenSeen(node, act) {
  waiting.set(node, act);
  watcher.observe(node);
}

// ---- light and dark

const themes = ["system", "light", "dark"];
find("theme").addEventListener("click", ({ currentTarget }) => {
  const word = currentTarget.firstElementChild, next = themes[(themes.indexOf(word.textContent) + 1) % 3];
  word.textContent = next;
  document.documentElement.style.colorScheme = next === "system" ? "light dark" : next;
});

