// Ten views of a painting become one picture and the layers of each view; or two to ten of the reader's own pictures.
(() => {
  const { slider, choice, tile, draw, make, newest, pixels, image } = htcvLive;
  const SIDE = 64, VIEWS = 10, SIZE = SIDE * SIDE, WHITE = 3;  // light that is shown as white
  const LAYERS = ["shadow", "light", "occluder"];

  const linear = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const srgb = (value) => value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
  const clipped = (value) => Math.min(Math.max(value, 0), 1);
  const psnr = (found, truth) => (-10 * Math.log10(
    found.reduce((sum, value, i) => sum + (value - truth[i]) ** 2, 0) / found.length)).toFixed(1);

  htcvLive.figure("views", async (stage, { network, picture, say }) => {
    const net = await network("done-well");
    const cut = (source, place) => {  // one picture of a sprite
      const canvas = make("canvas", { width: SIDE, height: SIDE });
      canvas.getContext("2d").drawImage(source, -SIDE * place, 0);
      return pixels(canvas, SIDE);
    };
    const sets = [];
    for (const number of [0, 1]) {
      const sprite = await picture(`sequence${number}.webp`);
      sets.push({ views: Array.from({ length: VIEWS }, (_, i) => cut(sprite, i)), truth: cut(sprite, VIEWS) });
    }

    const seen = tile("A view", SIDE, "One of the views");
    const middle = tile("Median of the views", SIDE, "The median of all views");
    const clean = tile("The network's picture", SIDE, "The picture that the network makes of all views");
    const truth = tile("The painting", SIDE, "The painting as it is");
    const parts = Object.entries({
      Shadow: "The shadow of this view", Light: "The light of this view", Occluder: "What stands in front in this view",
      "Put together": "The chosen layers on the picture",
    }).map(([title, label]) => tile(title, SIDE, label));

    let set = sets[0], layers;
    const view = slider("view", { min: 1, max: VIEWS, step: 1, value: 1 }, () => show());
    const chosen = choice("Sequence", ["Sequence 1", "Sequence 2"], 0, (index) => { set = sets[index]; render(); });
    const boxes = LAYERS.map((name) => make("input", { type: "checkbox", checked: true, id: `htcv-layer-${name}`,
      onchange: () => show() }));
    const file = make("input", { type: "file", accept: "image/*", multiple: true, class: "htcv-demo-file",
      "aria-label": "Two to ten pictures of your own" });
    file.addEventListener("change", async () => {
      try {
        const own = [];
        for (const one of [...file.files].slice(0, VIEWS)) {
          own.push(pixels(await image(URL.createObjectURL(one)), SIDE));
        }
        if (own.length < 2) {
          say("Choose two to ten pictures at once.");
          return;
        }
        set = { views: own };
        chosen.value = -1;
        render();
      } catch {
        say("One of these files is no picture that the browser can read.");
      }
    });

    const show = () => {
      const count = set.views.length, at = Math.min(view.value, count) - 1;
      const own = (field, c, pixel) => layers[field][(c * count + at) * SIZE + pixel];
      const [shadow, light, occluder] = boxes.map((box) => box.checked);
      draw(seen.context, SIDE, SIDE, (pixel, c) => set.views[at][c * SIZE + pixel]);
      draw(parts[0].context, SIDE, SIDE, (pixel) => own("shadow", 0, pixel));
      draw(parts[1].context, SIDE, SIDE, (pixel, c) => srgb(clipped(own("light", c, pixel) / WHITE)));
      draw(parts[2].context, SIDE, SIDE, (pixel, c) => own("mask", 0, pixel) * own("occlusion", c, pixel));
      draw(parts[3].context, SIDE, SIDE, (pixel, c) => {
        const lit = linear(layers.original[c * SIZE + pixel]) * (shadow ? own("shadow", 0, pixel) : 1)
          * (light ? own("light", c, pixel) : 1) + (light ? own("highlight", 0, pixel) : 0);
        const mask = occluder ? own("mask", 0, pixel) : 0;
        return srgb(clipped(lit)) * (1 - mask) + mask * own("occlusion", c, pixel);
      });
      const scores = set.truth ? ` Picture ${clean.output.value}, median ${middle.output.value}.` : "";
      say(`View ${at + 1} of ${count}.${scores}`);
    };

    const render = newest(async () => {
      const count = set.views.length, stack = new Float32Array(3 * count * SIZE), median = new Float32Array(3 * SIZE);
      for (let c = 0; c < 3; c++) {
        set.views.forEach((one, i) => stack.set(one.subarray(c * SIZE, (c + 1) * SIZE), (c * count + i) * SIZE));
      }
      for (let i = 0; i < 3 * SIZE; i++) {
        const ranked = set.views.map((one) => one[i]).sort((a, b) => a - b);
        median[i] = (ranked[(count - 1) >> 1] + ranked[count >> 1]) / 2;
      }
      view.limits = [1, count];
      layers = await net({ image: [stack, [1, 3, count, SIDE, SIDE]] });
      draw(middle.context, SIDE, SIDE, (pixel, c) => median[c * SIZE + pixel]);
      draw(clean.context, SIDE, SIDE, (pixel, c) => layers.original[c * SIZE + pixel]);
      truth.element.hidden = !set.truth;
      if (set.truth) draw(truth.context, SIDE, SIDE, (pixel, c) => set.truth[c * SIZE + pixel]);
      clean.output.value = set.truth ? `${psnr(layers.original, set.truth)} dB` : "";
      middle.output.value = set.truth ? `${psnr(median, set.truth)} dB` : "";
      show();
    });

    stage.append(
      make("div", { class: "htcv-demo-tiles" }, ...[seen, middle, clean, truth, ...parts].map((one) => one.element)),
      make("div", { class: "htcv-demo-controls" }, view.element,
        make("div", { class: "htcv-demo-checks", role: "group", "aria-label": "Layers that are put together" },
          ...boxes.map((box, i) => make("label", { for: box.id }, box, ` ${LAYERS[i]}`)))),
      chosen.element,
      make("p", { class: "htcv-demo-own" },
        make("span", {}, "Two to ten pictures of your own, taken from one place; they stay on this device: "), file));
    await render();
  });
})();
