// The page: what the user chooses goes through the networks, and is drawn.

import { glb, parameters } from "./files.js";
import { Finder } from "./finder.js";
import { Follower } from "./follower.js";
import { SIDES, orbit } from "./orbit.js";
import { Predictor } from "./people.js";
import { Movie, readImage } from "./pictures.js";
import { MissingRuntime, hasGpu, openNetworks } from "./runtime.js";
import { otherLanguage, say, translate } from "./text.js";
import { MeshView, fromSide, overImage } from "./view.js";

const byId = (id) => document.getElementById(id);
const RECENT = 20; // frames whose rate is shown
const SHARPEST = [1024, 2048]; // between which the longer side of the drawing over the picture is, pixels

let page, faces, finder, predictor; // what the networks are made of, and the networks
let shown = null; // {people, image, time, name}: what is on the page
let movie = null; // that is played
let turn = 0; // counts what the user asked for: what was asked for before is dropped
let status = ["loading"];
const views = {};

translate();
start();

async function start() {
  showStatus("loading");
  for (const id of ["find", "network", "draw", "rate", "count"]) byId(id).textContent = "–";
  try {
    page = await (await fetch("page.json")).json();
    faces = new Uint16Array(await (await fetch("faces.bin")).arrayBuffer());
    byId("model").textContent = page.name;
    makeViews();
    await listProcessors();
    await openAll(byId("compute").value);
  } catch (error) {
    showError("noNetwork", error);
  }
}

function makeViews() {
  try {
    views.over = new MeshView(byId("overlay"), faces);
    views.around = new MeshView(byId("around"), faces);
  } catch {
    byId("hint").dataset.text = "noWebgl";
    translate();
  }
  const view = orbit(byId("around"), drawAround);
  views.direction = view;
  for (const button of byId("sides").children) {
    button.onclick = () => {
      [view.yaw, view.pitch] = SIDES[button.dataset.side];
      drawAround();
    };
  }
  new ResizeObserver(drawAround).observe(byId("around"));
}

async function listProcessors() {
  const kinds = (await hasGpu()) ? ["webgpu", "wasm"] : ["wasm"];
  byId("compute").replaceChildren(...kinds.map((kind) => {
    const option = document.createElement("option");
    option.value = kind;
    option.dataset.text = kind === "webgpu" ? "gpu" : "cpu";
    option.textContent = say(option.dataset.text);
    return option;
  }));
}

/** Open both networks on a processor; where the GPU fails, on the CPU. */
async function openAll(wanted) {
  enable(false);
  showStatus("loading");
  byId("progress").hidden = false;
  const model = page.model.input;
  const files = {
    finder: { address: "finder.onnx", input: page.finder.input.name, size: page.finder.input.size },
    model: { address: "model.onnx", input: model.name, size: model.size },
  };
  try {
    const kind = wanted === "wasm" ? "wasm" : "";
    const opened = await openNetworks(files, kind, (share) => (byId("progress").value = share));
    finder = new Finder(opened.networks.finder);
    predictor = new Predictor(opened.networks.model, page);
    byId("compute").value = opened.kind;
    byId("threads").dataset.count = opened.kind === "wasm" ? opened.threads : "";
    showThreads();
    showStatus("ready");
    enable(true);
  } catch (error) {
    if (error instanceof MissingRuntime) showStatus("noRuntime");
    else showError("noNetwork", error);
  }
  byId("progress").hidden = true;
}

function enable(isReady) {
  for (const id of ["file", "camera", "example"]) byId(id).disabled = !isReady;
}

/** Stop what is played, and return whether what begins now is still what the user wants. */
function begin() {
  movie?.close();
  movie = null;
  showPlaying();
  const mine = ++turn;
  return () => mine === turn;
}

async function openFile(file) {
  if (!finder || !file) return;
  const isWanted = begin();
  showStatus("working");
  try {
    if (file.type.startsWith("video/")) return await play(await Movie.open(file), file.name, isWanted);
    const image = await readImage(file);
    await nextPaint(); // so that the status is seen
    if (isWanted()) await look(image, file.name, finder, predictor, isWanted);
  } catch (error) {
    if (isWanted()) showError("noImage", error);
  }
}

async function openCamera() {
  if (movie?.isCamera) return begin() && showResult();
  if (!navigator.mediaDevices) return showStatus("noHttps");
  const isWanted = begin();
  showStatus("working");
  try {
    await play(await Movie.open(), "camera", isWanted);
  } catch (error) {
    if (isWanted()) showError("noCamera", error);
  }
}

async function play(opened, name, isWanted) {
  if (!isWanted()) return opened.close();
  movie = opened;
  for (const event of ["play", "pause", "ended"]) movie.video.addEventListener(event, showPlaying);
  showPlaying();
  const follower = new Follower(finder, predictor);
  const times = [];
  while (isWanted()) {
    await opened.nextFrame();
    if (!isWanted()) return;
    const time = opened.time;
    await look(opened.pixels(), name, follower, follower, isWanted, time);
    times.push(performance.now());
    if (times.length > RECENT) times.shift();
    const rate = (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
    byId("rate").textContent = times.length > 1 && opened.isPlaying ? rate.toFixed(1) : "–";
    await nextPaint();
  }
}

/** Find the people of an image, and show them. */
async function look(image, name, searcher, estimator, isWanted, time) {
  const moments = [performance.now()];
  const found = await searcher.find(image);
  moments.push(performance.now());
  const people = await estimator.people(image, found);
  moments.push(performance.now());
  if (!isWanted()) return;
  shown = { people, image, name, time };
  drawPicture();
  drawOver();
  drawAround();
  moments.push(performance.now());
  ["find", "network", "draw"].forEach((id, index) => {
    byId(id).textContent = `${(moments[index + 1] - moments[index]).toFixed(1)} ms`;
  });
  if (time === undefined) byId("rate").textContent = "–";
  byId("count").textContent = people.length;
  for (const id of ["glb", "json"]) byId(id).disabled = !people.length;
  showResult();
}

function drawPicture() {
  const { image } = shown;
  const canvas = byId("picture");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.hidden = byId("overlay").hidden = false;
  byId("hint").hidden = Boolean(views.over);
}

function drawOver() {
  if (!views.over || !shown) return;
  const { people, image } = shown;
  const [longest, [least, most]] = [Math.max(image.width, image.height), SHARPEST];
  const ratio = Math.min(Math.max(longest, least), most) / longest;
  const canvas = byId("overlay");
  [canvas.width, canvas.height] = [Math.round(image.width * ratio), Math.round(image.height * ratio)];
  views.over.draw(people, overImage(people, image, predictor), byId("opacity").value / 100);
}

function drawAround() {
  if (!views.around) return;
  const canvas = byId("around");
  const ratio = globalThis.devicePixelRatio ?? 1;
  [canvas.width, canvas.height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  const people = shown?.people ?? [];
  views.around.draw(people, people.length ? fromSide(people, views.direction, canvas.width / canvas.height) : []);
}

function showStatus(...words) {
  const isSame = words.join() === status.join();
  status = words;
  const element = byId("status");
  if (!isSame || element.textContent !== say(...words)) element.textContent = say(...words);
}

function showError(name, error) {
  showStatus(name, error.message || error.name);
}

function showResult() {
  const count = shown?.people.length;
  if (count === undefined) showStatus("ready");
  else if (count < 2) showStatus(count ? "one" : "nobody");
  else showStatus("many", count);
}

function showPlaying() {
  byId("toggle").hidden = !movie || movie.isCamera;
  byId("toggle").textContent = say(movie?.isPlaying ? "pause" : "play");
  byId("camera").textContent = say(movie?.isCamera ? "stopCamera" : "camera");
}

function showThreads() {
  const { count } = byId("threads").dataset;
  byId("threads").textContent = count ? say("threads", count) : "";
}

function nextPaint() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, 100); // a tab in the background paints nothing
  });
}

function save(blob, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${shown.name.replace(/\.[^.]*$/, "") || "people"}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

byId("file").onchange = (event) => {
  openFile(event.target.files[0]);
  event.target.value = ""; // so that the same file can be chosen once more
};
byId("camera").onclick = openCamera;
byId("example").onclick = async () => {
  const content = await (await fetch("example.png")).blob();
  openFile(new File([content], "example.png", { type: "image/png" }));
};
byId("toggle").onclick = () => movie?.toggle();
byId("opacity").oninput = drawOver;
byId("compute").onchange = async (event) => {
  begin();
  await openAll(event.target.value);
};
byId("glb").onclick = () => save(glb(shown.people, faces, shown.image), "glb");
byId("json").onclick = () => save(parameters(shown.people, shown.image, page, shown.time), "json");
byId("language").onclick = () => {
  otherLanguage();
  showStatus(...status);
  showPlaying();
  showThreads();
};
document.addEventListener("paste", (event) => openFile([...event.clipboardData.files][0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => byId("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  openFile(event.dataTransfer.files[0]);
});
