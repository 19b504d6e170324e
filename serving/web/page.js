// Asks this server alone, by three addresses: page/models, page/ask, page/photo.
const at = id => document.getElementById(id);
const LARGEST = 1024; // pixels: the model sees less, and a phone's photo need not travel whole
let photo = null; // what was chosen last: base64 of a JPEG
let models = [];
let turn = 0; // of the question under way; an answer to an older one is not shown

async function fetched(path, options = {}) {
  const headers = at("token").value ? { Authorization: `Bearer ${at("token").value}` } : {};
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) at("secret").hidden = false;
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `the server answered ${answer.status}`);
  return answer;
}

async function describe() {
  models = (await (await fetched("page/models")).json()).models;
  at("secret").hidden = true;
  if (!models.length) throw new Error("No release is loaded yet; reload this page in a while.");
  at("which").hidden = models.length < 2;
  options(at("model"), models.map(one => one.name));
  choose();
}

function choose() {
  options(at("attribute"), models.find(one => one.name === at("model").value).attributes.map(one => one.name));
}

function options(select, names) {
  const before = select.value;
  select.replaceChildren(...names.map(name => new Option(name, name)));
  if (names.includes(before)) select.value = before;
}

// The browser decodes, turns the photo as its camera meant it, and makes it smaller.
async function read(file) {
  let bitmap;
  try { bitmap = await createImageBitmap(file); } catch { throw new Error("This file is no photo that the browser can open."); }
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height].map(side => Math.max(1, Math.round(side * scale)));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const data = canvas.toDataURL("image/jpeg", 0.92);
  const blob = await new Promise(done => canvas.toBlob(done, "image/jpeg", 0.92));
  at("photo").src = URL.createObjectURL(blob);
  return data.split(",")[1];
}

async function ask(what) {
  const mine = ++turn, attribute = at("attribute").value, model = at("model").value;
  at("status").textContent = "Searching …";
  const body = JSON.stringify({ model, attribute, k: 12, ...what });
  const answer = await (await fetched("page/ask", { method: "POST", body })).json();
  if (mine !== turn) return;
  at("query").hidden = !photo;
  if (answer.attention) { attend(answer.attention, attribute); classes(answer.classes); }
  const of = what.id === undefined ? "your photo" : what.id;
  at("found").textContent = `Same ${attribute} as ${of}, nearest first`;
  at("neighbours").replaceChildren(...answer.found.map(one => item(one, model, mine)));
  at("results").hidden = false;
  at("status").textContent = `${answer.found.length} items found; version ${answer.version}.`;
  if (what.id !== undefined) at("found").focus();
}

function item(one, model, mine) {
  const entry = document.createElement("li"), none = document.createElement("div");
  none.className = "none";
  none.textContent = "no photo here";
  const button = document.createElement("button");
  button.textContent = "More like this";
  button.setAttribute("aria-label", `More like ${one.id}`);
  button.addEventListener("click", () => told(() => ask({ id: one.id })));
  entry.append(none, line(one.classes.replaceAll("|", ", ") || "unlabelled"), line(`${one.id} · ${one.score.toFixed(3)}`), button);
  const query = new URLSearchParams({ model, id: one.id });
  fetched(`page/photo?${query}`).then(answer => answer.blob()).then(blob => {
    if (mine !== turn) return;
    const image = new Image();
    image.alt = one.id;
    image.src = URL.createObjectURL(blob);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    none.replaceWith(image);
  }).catch(() => {});
  return entry;
}

function line(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

function classes(found) {
  at("classes").replaceChildren(...Object.entries(found).map(([name, likely]) => {
    const group = document.createElement("div"), term = document.createElement("dt");
    term.textContent = name;
    group.append(term, ...likely.slice(0, 3).map(([label, score]) => {
      const value = document.createElement("dd");
      value.textContent = `${label} ${(100 * score).toFixed(0)} %`;
      return value;
    }));
    return group;
  }));
}

function attend(grid, attribute) {
  const canvas = at("attention"), most = Math.max(...grid.flat());
  [canvas.width, canvas.height] = [grid[0].length, grid.length];
  const pixels = new ImageData(canvas.width, canvas.height);
  grid.flat().forEach((value, place) => pixels.data.set([255, 80, 0, 255 * value / most], 4 * place));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.setAttribute("aria-label", `where the model looked for ${attribute}`);
}

async function told(work) {
  at("error").textContent = "";
  try { await work(); } catch (error) { at("status").textContent = ""; at("error").textContent = error.message; }
}

async function chosen(file) {
  if (!file) return;
  photo = await read(file);
  await ask({ image: photo });
}

at("form").addEventListener("submit", event => event.preventDefault());
at("file").addEventListener("change", () => told(() => chosen(at("file").files[0])));
at("attribute").addEventListener("change", () => told(async () => { if (photo) await ask({ image: photo }); }));
at("model").addEventListener("change", () => told(async () => { choose(); if (photo) await ask({ image: photo }); }));
at("token").addEventListener("change", () => told(describe));
at("overlay").addEventListener("change", () => { at("attention").hidden = !at("overlay").checked; });
for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, event => {
  event.preventDefault();
  at("drop").classList.toggle("over", kind === "dragover");
  if (kind === "drop") told(() => chosen(event.dataTransfer.files[0]));
});
told(describe);
