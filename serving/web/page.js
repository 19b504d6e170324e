// The page: what is asked is one `view`, and everything shown follows from it. Texts are only ever set as text.
import { Trouble, photoOf, predict, told, useToken } from "./ask.js";
import { base64, looked, prepared, shine } from "./photo.js";

const BATCH = 24, MOST = 1000;
const at = id => document.getElementById(id);
const photos = [];  // of this visit; a view in the browser's history names one by its place
let release = null, model = "", view = {}, running = new AbortController(), urls = [], again = null;

function made(tag, words = "", name = "") {
  const one = document.createElement(tag);
  one.textContent = words;
  one.className = name;
  return one;
}

const plain = classes => classes.split("|").filter(Boolean).map(one => one.replaceAll("_", " ")).join(", ");
const spoken = name => name.replaceAll("_", " ");
const percent = share => `${Math.round(100 * share)} %`;

function urlOf(blob) {
  urls.push(URL.createObjectURL(blob));
  return urls.at(-1);
}

// ---- what goes wrong

async function attempt(act) {
  at("trouble").hidden = true;
  document.body.classList.add("busy");
  try {
    await act();
    document.body.classList.remove("busy");
  } catch (error) {
    if (error.name === "AbortError") return;  // the next one is under way
    document.body.classList.remove("busy");
    if (!(error instanceof Trouble)) console.error(error);
    at("what").textContent = error instanceof Trouble ? error.message : "This page failed; reload it to begin anew.";
    at("key").hidden = error.kind !== "token";
    at("again").hidden = error.kind !== "gone";
    again = () => attempt(act);
    at("trouble").hidden = false;
    if (error.kind === "token") at("token").focus();
    at("trouble").scrollIntoView({ block: "nearest" });
  }
}

// ---- the release

async function meet() {
  const { models } = await told("models");
  const names = models.filter(one => one.ready).map(one => one.name);
  if (!names.length) throw new Trouble("The server holds no release yet. Try again once one is pushed.", "gone");
  const wanted = new URLSearchParams(location.search).get("model");
  at("model").replaceChildren(...names.map(name => new Option(name)));
  at("models").hidden = names.length < 2;
  at("model").value = names.includes(wanted) ? wanted : names[0];
  await open();
}

async function open() {
  const path = `v1/models/${encodeURIComponent(at("model").value)}`;
  release = await told(`${path}/release`);
  model = `${path}/versions/${release.version}`;  // every answer on the page is of this one
  const count = `${release.items.toLocaleString("en")} items`;
  at("release").textContent = `${count} of ${release.dataset || "a catalogue"} · ${release.system} · release ${release.version}`;
  choices();
}

function choices() {
  at("choices").replaceChildren(...release.attributes.map(({ name }) => {
    const label = made("label"), radio = made("input");
    Object.assign(radio, { type: "radio", name: "attribute", value: name });
    radio.addEventListener("change", () => go({ ...view, attribute: name, k: BATCH }));
    label.append(radio, made("span", spoken(name)), made("span", "", "guess"));
    return label;
  }));
}

// A release that has gone meanwhile is asked for anew, once: the server moves to a newer one whenever one comes.
async function current(act) {
  try {
    return await act();
  } catch (error) {
    const before = model;
    if (error.kind !== "missing") throw error;
    await open();
    if (model === before) throw error;
    return act();
  }
}

// ---- what is asked

function go(next, replace = false) {
  const same = next.photo === view.photo && next.item === view.item;
  view = next;
  const asked = new URLSearchParams({ model: at("model").value });
  if (view.attribute) asked.set("attribute", view.attribute);
  if (view.item !== undefined) asked.set("item", view.item);
  history[replace ? "replaceState" : "pushState"](view, "", `?${asked}`);
  return attempt(() => show(same));
}

async function show(same = false) {
  running.abort();
  running = new AbortController();
  const signal = running.signal;
  await current(() => answer(signal, same));
}

async function answer(signal, same) {
  if (!release) await meet();
  const names = release.attributes.map(one => one.name);
  if (!names.includes(view.attribute)) view.attribute = names[0];
  if (view.photo === undefined && view.item === undefined) return begin(signal);
  at("drop").hidden = true;
  for (const id of ["query", "tools", "attributes"]) at(id).hidden = false;
  at("choices").querySelectorAll("input").forEach(one => { one.checked = one.value === view.attribute });
  at("asked-title").textContent = view.item === undefined ? "Your photo" : `Item ${view.item}`;
  const photo = view.item === undefined ? photos[view.photo] : await photoOf(model, view.item, signal).catch(absent);
  signal.throwIfAborted();
  await Promise.all([queryPhoto(photo, same, signal), neighbours(photo, signal)]);
}

function absent(error) {
  if (error.kind !== "missing") throw error;
  return null;
}

async function queryPhoto(photo, same, signal) {
  const attribute = view.attribute;
  at("photo").hidden = at("tools").querySelector("label").hidden = !photo;
  at("photoless").hidden = !!photo;
  at("seen").hidden ||= !photo || !same;
  at("attention").style.opacity = 0;
  at("looked").textContent = "";
  if (!same) at("choices").querySelectorAll(".guess").forEach(one => { one.textContent = "" });
  if (!photo) return;
  if (!same || !at("photo").src) at("photo").src = urlOf(photo);
  at("photo").alt = view.item === undefined ? "Your photo" : `Photo of item ${view.item}`;
  const image = [{ b64: await base64(photo) }];
  const [seen, explained] = await Promise.all([
    predict(model, "classify", { image }, signal),
    release.signatures.includes("explain") ? predict(model, "explain", { image, attribute: [attribute] }, signal) : null,
  ]);
  classes(release.attributes.length > 1 ? seen : { [attribute]: seen });
  if (!explained) return;
  shine(at("attention"), explained[0]);
  at("attention").style.opacity = at("shine").checked ? 1 : 0;
  at("looked").textContent = `Looked ${looked(explained[0])}`;
}

function classes(seen) {
  const ranked = new Map(release.attributes.map(({ name, classes }) =>
    [name, classes.map((one, place) => [one, seen[name][0][place]]).sort((a, b) => b[1] - a[1])]));
  at("choices").querySelectorAll("label").forEach(label => {
    const [best, share] = ranked.get(label.firstChild.value)[0];
    label.lastChild.textContent = `${plain(best)} ${percent(share)}`;
  });
  at("seen-title").textContent = `Seen in ${spoken(view.attribute)}`;
  at("classes").replaceChildren(...ranked.get(view.attribute).slice(0, 5).map(([name, share]) => {
    const row = made("li");
    row.append(made("span", plain(name)), made("span", percent(share)));
    row.style.setProperty("--share", `${100 * share}%`);
    return row;
  }));
  at("seen").hidden = false;
}

async function neighbours(photo, signal) {
  const { attribute, item, k } = view, byId = item !== undefined;
  const query = byId ? { id: [item] } : { image: [{ b64: await base64(photo) }] };
  const asked = Math.min(MOST, k + (byId ? 1 : 0));  // an item is its own nearest
  const found = await predict(model, byId ? "search_by_id" : "search", { ...query, attribute: [attribute], k: asked }, signal, ["id", "score", "class"]);
  const items = found.id[0].map((id, place) => ({ id, score: found.score[0][place], classes: found.class[0][place] }));
  const others = items.filter(one => one.id !== item).slice(0, k);
  at("found-title").textContent = `Nearest in ${spoken(attribute)}`;
  at("status").textContent = `${others.length} items like ${byId ? `item ${item}` : "your photo"} in ${spoken(attribute)}, the nearest first.`;
  list(others, attribute, signal);
  at("more").hidden = k >= Math.min(MOST, release.items - (byId ? 1 : 0));
}

function begin(signal) {
  at("drop").hidden = false;
  for (const id of ["query", "tools", "attributes", "seen"]) at(id).hidden = true;
  at("asked-title").textContent = "Your photo";
  at("found-title").textContent = "Or begin with one of these";
  at("status").textContent = "Items of the catalogue. Choose one to see which others share a detail with it.";
  at("more").hidden = true;
  list(release.examples.map(id => ({ id })), view.attribute, signal);
}

// ---- what is found

function list(items, attribute, signal) {
  const cards = items.map(one => card(one, attribute));
  at("items").replaceChildren(...cards);
  at("found").hidden = false;
  const used = at("photo").src;
  urls = urls.filter(url => url === used || URL.revokeObjectURL(url));
  items.forEach(async ({ id }, place) => {
    const frame = cards[place].querySelector(".shown");
    try {
      const image = made("img");
      image.alt = `Photo of item ${id}`;
      image.src = urlOf(await photoOf(model, id, signal));
      frame.replaceChildren(image);
    } catch (error) {
      if (error.name !== "AbortError") frame.textContent = "no photo here";
    }
  });
}

function card({ id, score, classes }, attribute) {
  const one = made("li"), words = made("div", "", "words"), more = made("button", "More like this");
  if (score !== undefined) words.append(made("b", plain(classes) || "unlabelled"), made("span", `score ${score.toFixed(3)}`));
  words.append(made("span", id));
  more.type = "button";
  more.setAttribute("aria-label", `More like this in ${spoken(attribute)}: item ${id}`);
  more.addEventListener("click", async () => {
    await go({ item: id, attribute, k: BATCH });
    scrollTo({ top: 0 });
    at("found").focus({ preventScroll: true });
  });
  one.append(made("div", "", "shown"), words, more);
  return one;
}

// ---- what people do

async function choose(file) {
  let photo = null;
  await attempt(async () => { photo = await prepared(file) });
  if (!photo) return;
  photos.push(photo);
  await go({ photo: photos.length - 1, attribute: view.attribute, k: BATCH });
}

at("file").addEventListener("change", event => {
  const [file] = event.target.files;
  if (file) choose(file);
  event.target.value = "";  // the same file may be chosen again
});
addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("dragging") });
addEventListener("dragleave", event => { if (!event.relatedTarget) document.body.classList.remove("dragging") });
addEventListener("drop", event => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]);
});
addEventListener("paste", event => { if (event.clipboardData.files[0]) choose(event.clipboardData.files[0]) });
at("shine").addEventListener("change", event => { at("attention").style.opacity = event.target.checked ? 1 : 0 });
at("more").addEventListener("click", () => go({ ...view, k: Math.min(MOST, view.k + BATCH) }, true));
at("again").addEventListener("click", () => again());
at("key").addEventListener("submit", event => {
  event.preventDefault();
  useToken(at("token").value);
  again();
});
at("model").addEventListener("change", () => { release = null; go({ ...view, item: undefined, photo: view.photo }, true) });
addEventListener("popstate", event => {
  view = { ...event.state };
  if (!photos[view.photo]) delete view.photo;  // a photo of before the page was reloaded
  attempt(() => show());
});

at("seen").open = matchMedia("(min-width: 50rem)").matches;  // on a phone the items come sooner
const asked = new URLSearchParams(location.search);
view = { attribute: asked.get("attribute") ?? undefined, k: BATCH };
if (asked.has("item")) view.item = asked.get("item");
attempt(() => show());
