// Live figures: trained networks that run on the reader's own device. Nothing is loaded before a click on the button,
// and nothing is sent anywhere. Pages may lie on a disk, where neither fetch nor pictures on canvases work, so that all
// files of a figure come as base64 in one script (a "pack"). A figure registers with `htcvLive.figure(name, start)`.
(() => {
  const LOADING = "Loading …";
  const home = new URL("live/", document.currentScript.src);
  const packs = {}, starts = {}, loading = {};

  const load = (file) => loading[file] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(file, home);
    script.onload = resolve;
    script.onerror = () => {
      delete loading[file];
      reject(new Error(`${file} did not load`));
    };
    document.head.append(script);
  });

  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  const unpacked = (base64) => new Response(
    new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

  let engine;
  const runtime = () => engine ??= (async () => {
    await load("runtime.pack.js");
    const { "ort.wasm.bundle.min.mjs": code, "ort-wasm-simd-threaded.wasm.gz": packed } = packs.runtime;
    const ort = await import(URL.createObjectURL(new Blob([bytes(code)], { type: "text/javascript" })));
    ort.env.wasm.wasmBinary = await unpacked(packed);
    ort.env.wasm.numThreads = 1;  // several need shared memory, which pages on disk do not have
    return ort;
  })().catch((error) => { engine = undefined; throw error; });

  // A network of a pack: {input: [numbers, sizes]} -> {output: Float32Array}.
  const network = async (pack, name) => {
    const ort = await runtime();
    const model = new Uint8Array(await unpacked(packs[pack][`${name}.onnx.gz`]));
    const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
    return async (inputs) => {
      const given = Object.entries(inputs).map(([key, [data, sizes]]) => [
        key, new ort.Tensor(data instanceof BigInt64Array ? "int64" : "float32", data, sizes)]);
      const found = await session.run(Object.fromEntries(given));
      return Object.fromEntries(Object.entries(found).map(([key, tensor]) => [key, tensor.data]));
    };
  };

  const image = async (source) => {
    const element = new Image();
    element.src = source;
    await element.decode();
    return element;
  };
  // A picture of a pack, decoded.
  const picture = (pack, file) => image(`data:image/${file.split(".").pop()};base64,${packs[pack][file]}`);

  // Pieces of a page.

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  let count = 0;
  const slider = (text, { min, max, step, value, show = String }, changed) => {
    const id = `htcv-live-${++count}`;
    const input = make("input", { type: "range", id, min, max, step, value });
    const output = make("output", { for: id });
    const told = () => {
      output.value = show(Number(input.value));
      input.setAttribute("aria-valuetext", output.value);
    };
    input.addEventListener("input", () => { told(); changed(); });
    told();
    return {
      element: make("div", { class: "htcv-demo-slider" }, make("label", { for: id }, text), input, output),
      get value() { return Number(input.value); },
      set value(number) { input.value = number; told(); },
      set limits([lowest, highest]) { input.min = lowest; input.max = highest; told(); },
    };
  };

  // Buttons of which one is pressed.
  const choice = (label, options, chosen, changed) => {
    const buttons = options.map((option, index) => make("button", {
      type: "button", "aria-pressed": String(index === chosen), onclick: () => { pick(index); changed(index); },
    }, option));
    const pick = (index) => buttons.forEach((button, place) => button.setAttribute("aria-pressed", place === index));
    const element = make("div", { class: "htcv-demo-choice", role: "group", "aria-label": label }, ...buttons);
    return { element, buttons, get value() { return buttons.findIndex((one) => one.ariaPressed === "true"); },
             set value(index) { pick(index); } };
  };

  const group = (legend, ...children) => make("fieldset", {}, make("legend", {}, legend), ...children);

  // A canvas with a title and a line of results below it.
  const tile = (title, size, label, classes = "") => {
    const [width, height] = [size].flat().concat(size).slice(0, 2);
    const canvas = make("canvas", { width, height, role: "img", "aria-label": label });
    const output = make("output");
    const element = make("figure", { class: `htcv-demo-tile ${classes}` },
      canvas, make("figcaption", {}, make("span", {}, title), output));
    return { element, canvas, context: canvas.getContext("2d", { willReadFrequently: true }), output };
  };

  // Draw numbers in [0, 1] on a canvas, which takes their size: at(pixel, channel) -> number.
  const draw = (context, width, height, at) => {
    const { canvas } = context;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const picture = new ImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let channel = 0; channel < 3; channel++) picture.data[4 * pixel + channel] = 255 * at(pixel, channel);
      picture.data[4 * pixel + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  };

  // A picture squashed to width x height, as the networks' photographs were: numbers in [0, 1], channel by channel.
  const pixels = (source, width, height = width) => {
    const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#fff";  // behind what is transparent
    context.fillRect(0, 0, width, height);
    context.drawImage(source, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const size = width * height;
    return Float32Array.from({ length: 3 * size }, (_, i) => data[4 * (i % size) + Math.floor(i / size)] / 255);
  };

  // Call `moved` with where a pointer that is held down is on a canvas: right and down, from its middle, in half sides.
  const dragged = (canvas, moved) => {
    const follow = (event) => {
      const box = canvas.getBoundingClientRect();
      moved(2 * (event.clientX - box.left) / box.width - 1, 2 * (event.clientY - box.top) / box.height - 1);
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); follow(event); });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) follow(event);
    });
  };

  const pause = () => new Promise((resolve) => setTimeout(resolve));

  // A function that works on the newest request only; `work` is given a question: is there a newer one already?
  const newest = (work) => {
    let asked = 0, busy = false;
    return async () => {
      asked += 1;
      if (busy) return;
      busy = true;
      try {
        for (let turn = 0; turn !== asked;) {
          turn = asked;
          await work(() => turn !== asked);
        }
      } finally {
        busy = false;
      }
    };
  };

  const open = async (box) => {
    const name = box.dataset.live;
    const button = box.querySelector(".htcv-demo-start"), said = box.querySelector(".htcv-demo-said");
    const stage = box.querySelector(".htcv-demo-stage");
    button.disabled = true;
    said.textContent = LOADING;
    try {
      await pause();
      await Promise.all([load(`${name}.pack.js`), load(`${name}.js`)]);
      if (Object.keys(packs[name]).some((file) => file.endsWith(".onnx.gz"))) await runtime();
      let timer;
      const say = (text) => {  // once the reader's hand rests
        box.dataset.answered = performance.now();
        clearTimeout(timer);
        timer = setTimeout(() => { said.textContent = text; }, 700);
      };
      stage.replaceChildren();
      await starts[name](stage, {
        network: (file) => network(name, file), picture: (file) => picture(name, file), say,
        bytes: (file) => bytes(packs[name][file]),
        json: (file) => JSON.parse(new TextDecoder().decode(bytes(packs[name][file]))),
      });
      box.classList.add("htcv-is-live");
      stage.hidden = false;
      if (said.textContent === LOADING) said.textContent = "";
      stage.querySelector("input, button").focus({ preventScroll: true });
    } catch (error) {
      console.warn(error);
      button.disabled = false;
      said.textContent = "This figure cannot run here; the picture above shows what it would.";
    }
  };

  window.htcvLive = {
    pack: (name, files) => { packs[name] = files; }, figure: (name, start) => { starts[name] = start; },
    load, network, picture, image, make, slider, choice, group, tile, draw, dragged, pixels, pause, newest,
  };
  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll(".htcv-demo")) {
      const button = box.querySelector(".htcv-demo-start");
      button.addEventListener("click", () => open(box));
      button.hidden = false;
    }
  });
})();
