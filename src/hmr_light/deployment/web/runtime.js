// The networks, run by ONNX Runtime Web out of the folder onnxruntime/: on the GPU where the browser has WebGPU, else by
// WebAssembly, with threads where the server isolates the page.

const FOLDER = new URL("onnxruntime/", import.meta.url).href;
const KINDS = {
  webgpu: {
    script: "ort.webgpu.min.mjs",
    binary: "ort-wasm-simd-threaded.asyncify.wasm",
    executionProviders: ["webgpu", "wasm"],
  },
  wasm: {
    script: "ort.wasm.min.mjs",
    binary: "ort-wasm-simd-threaded.wasm",
    executionProviders: ["wasm"],
  },
};
const MOST_THREADS = 4;

/** The files of ONNX Runtime are not there. */
export class MissingRuntime extends Error {}

/**
 * {kind, threads, networks}: for each of `files` (name → address of an ONNX file and its input) a function that maps RGB
 * crops (Uint8Array) and their count to tensors by name. `wanted` is "webgpu", "wasm", or "" for the best there is.
 */
export async function openNetworks(files, wanted, onProgress) {
  const kinds = wanted ? [wanted] : (await hasGpu()) ? ["webgpu", "wasm"] : ["wasm"];
  for (const kind of kinds) {
    try {
      return await open(kind, files, onProgress);
    } catch (error) {
      if (kind === kinds.at(-1)) throw error;
      console.info(`${kind} cannot be used: ${error.message}`);
    }
  }
}

export async function hasGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && !adapter.info?.isFallbackAdapter;
  } catch {
    return false;
  }
}

async function open(kind, files, onProgress) {
  const { script, binary, executionProviders } = KINDS[kind];
  const threads = globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency ?? 1) : 1;
  const ort = await import(FOLDER + script).catch((error) => {
    throw new MissingRuntime(error.message);
  });
  const addresses = { runtime: FOLDER + binary };
  for (const [name, { address }] of Object.entries(files)) addresses[name] = address;
  const contents = await download(addresses, onProgress);
  ort.env.wasm.wasmPaths = FOLDER;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = contents.runtime.buffer;
  ort.env.logLevel = "error";
  const networks = {};
  for (const [name, { input, size }] of Object.entries(files)) {
    const session = await ort.InferenceSession.create(contents[name], { executionProviders, logSeverityLevel: 3 });
    networks[name] = (crops, count) => session.run({ [input]: new ort.Tensor("uint8", crops, [count, size, size, 3]) });
    await networks[name](new Uint8Array(size * size * 3), 1); // the first run takes longer
  }
  return { kind, threads, networks };
}

/** The contents of files by name; `onProgress` is told which part of all bytes is here. */
async function download(addresses, onProgress) {
  const progress = {};
  const contents = await Promise.all(Object.entries(addresses).map(async ([name, address]) => {
    const response = await fetch(address);
    if (!response.ok) {
      if (name === "runtime") throw new MissingRuntime(address);
      throw new Error(`${address}: ${response.status}`);
    }
    const total = Number(response.headers.get("content-length"));
    const [parts, reader] = [[], response.body.getReader()];
    let length = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
      progress[name] = { length, total: Math.max(total, length) };
      const sum = (key) => Object.values(progress).reduce((all, one) => all + one[key], 0);
      onProgress(sum("length") / sum("total"));
    }
    return [name, new Uint8Array(await new Blob(parts).arrayBuffer())];
  }));
  return Object.fromEntries(contents);
}
