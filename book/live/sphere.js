// A lit sphere: drawn by the networks, and computed exactly beside them.
(() => {
  const { slider, choice, group, tile, draw, dragged, make, newest, pause } = htcvLive;
  const FULL = 400, COARSE = 100, QUICK = 50, REPORT = 32;  // pixels on a side
  const AT_ONCE = 4096;  // pixels the network colours in one go
  const MARGIN = 4;  // pixels around the sphere's box that count for its PSNR
  const LARGER = 8;  // by how much the difference is enlarged
  const SETS = [  // of positions: lowest, highest, where a figure starts
    { name: "Large spheres", low: [2, 2, 9], high: [5, 5, 12.5], start: [3.5, 3.5, 10.75] },
    { name: "Small spheres, as model 1 was trained", low: [-4, -4, -4], high: [4, 4, 4], start: [0, 0, 0] },
  ];

  // The Phong renderer of htcv_lib/neural_renderer/phong.py, one pixel at a time.
  const EYE = [5, 5, 15], HALF_FIELD = Math.tan(Math.PI / 8), AMBIENT = 0.1 * 0.3, NEAR = 0.1, FAR = 1000;
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const minus = (a, b) => a.map((value, i) => value - b[i]);
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const normalized = (a) => a.map((value) => value / Math.sqrt(dot(a, a)));
  const forward = normalized(EYE.map((value) => -value)), right = normalized(cross(forward, [0, 1, 0]));
  const AXES = [right, cross(right, forward), forward];

  const phong = (scene, size) => {
    const position = scene.slice(0, 3), diffuse = scene.slice(3, 6), shininess = scene[6];
    const inCamera = (vector) => AXES.map((axis) => dot(axis, vector));
    const centre = inCamera(minus(position, EYE)), light = inCamera(minus(scene.slice(7), position));
    const image = new Float32Array(3 * size * size);
    for (let pixel = 0; pixel < size * size; pixel++) {
      const [x, y] = place(pixel, size);
      const ray = normalized([x * HALF_FIELD, y * HALF_FIELD, 1]);
      const along = dot(ray, centre);
      const foot = ray.map((value, i) => along * value - centre[i]);
      const inside = 1 - dot(foot, foot);
      if (inside <= 0) continue;
      const half = Math.sqrt(inside), depth = (along - half) * ray[2];
      if (depth < NEAR || depth > FAR) continue;
      const normal = foot.map((value, i) => value - half * ray[i]);
      const toLight = normalized(minus(light, normal));
      const cosine = dot(normal, toLight);
      const mirrored = 2 * cosine * half + dot(ray, toLight);
      const highlight = Math.min(Math.max(mirrored, 0), 1) ** shininess;
      for (let c = 0; c < 3; c++) {
        image[3 * pixel + c] = Math.min(Math.max(AMBIENT + diffuse[c] * Math.max(cosine, 0) + highlight, 0), 1);
      }
    }
    return image;
  };

  // Where a pixel's centre is: x to the right, y up, in half picture heights from the middle.
  const place = (pixel, size) => [(2 * (pixel % size) + 1) / size - 1, 1 - (2 * Math.floor(pixel / size) + 1) / size];

  // The centre of the nearest of the REPORT x REPORT pixels all networks here were trained on, of each coordinate.
  const nearest = (value) => (2 * Math.floor((value + 1) * REPORT / 2) + 1) / REPORT - 1;

  // PSNR in the box around the sphere; NaN where none is seen.
  const psnr = (image, exact, size) => {
    let [left, top, right, bottom] = [size, size, -1, -1];
    for (let pixel = 0; pixel < size * size; pixel++) {
      if (exact[3 * pixel] > 0) {
        const x = pixel % size, y = Math.floor(pixel / size);
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
      }
    }
    let sum = 0, count = 0;
    for (let y = Math.max(top - MARGIN, 0); y <= Math.min(bottom + MARGIN, size - 1); y++) {
      for (let x = Math.max(left - MARGIN, 0); x <= Math.min(right + MARGIN, size - 1); x++) {
        for (let i = 3 * (y * size + x); i < 3 * (y * size + x) + 3; i++, count++) sum += (image[i] - exact[i]) ** 2;
      }
    }
    return right < 0 ? NaN : -10 * Math.log10(sum / count);
  };
  const decibels = (value) => Number.isNaN(value) ? "no sphere in view" : `${value.toFixed(1)} dB`;

  // For each pixel of a picture of FULL pixels: may it be on the sphere, by what the network said of a coarser one?
  const near = (image, size) => {
    const marked = new Uint8Array(size * size);
    for (let pixel = 0; pixel < size * size; pixel++) {
      if (image[3 * pixel] + image[3 * pixel + 1] + image[3 * pixel + 2] === 0) continue;
      for (const dy of [-1, 0, 1]) {
        for (const dx of [-1, 0, 1]) {
          const x = pixel % size + dx, y = Math.floor(pixel / size) + dy;
          if (x >= 0 && y >= 0 && x < size && y < size) marked[y * size + x] = 1;
        }
      }
    }
    return (pixel) => {
      const x = Math.floor(pixel % FULL * size / FULL), y = Math.floor(Math.floor(pixel / FULL) * size / FULL);
      return marked[y * size + x];
    };
  };

  htcvLive.figure("sphere", async (stage, { network, say }) => {
    const pixelNet = await network("pixels");
    const models = [];
    for (const number of [1, 2, 3]) models.push(await network(`model${number}`));

    const drawn = tile("Done well, pixel by pixel", FULL, "The sphere as the per-pixel network draws it",
      "htcv-wide htcv-drag");
    const exact = tile("Exact", FULL, "The sphere computed by Phong's formula", "htcv-wide htcv-drag");
    const error = tile(`Difference, times ${LARGER}`, FULL, "Where the network and the formula differ");
    const reports = models.map((_, i) => tile(`Model ${i + 1}`, REPORT,
      `The sphere as the report's model ${i + 1} draws it`, "htcv-pixelated"));

    const number = { show: (value) => value.toFixed(1) };
    const share = { min: 0, max: 1, step: 0.01, show: (value) => value.toFixed(2) };
    const changed = () => render();
    const light = ["right", "up", "front"].map((name, i) =>
      slider(name, { min: -20, max: 20, step: 0.5, value: [0, 12, 18][i], ...number }, changed));
    const position = ["x", "y", "z"].map((name, i) =>
      slider(name, { min: SETS[0].low[i], max: SETS[0].high[i], step: 0.05, value: SETS[0].start[i], ...number },
        changed));
    const colour = ["red", "green", "blue"].map((name, i) =>
      slider(name, { value: [0.2, 0.5, 0.9][i], ...share }, changed));
    const shininess = slider("shininess", { min: 3, max: 20, step: 0.5, value: 10, ...number }, changed);
    const sets = choice("Which spheres", SETS.map((set) => set.name), 0, (index) => {
      position.forEach((one, i) => {
        one.limits = [SETS[index].low[i], SETS[index].high[i]];
        one.value = SETS[index].start[i];
      });
      changed();
    });
    const waves = choice("Waves of the position", ["Waves of the nearest trained pixel", "Waves of each place"], 0,
      changed);
    const scene = () => [...position, ...colour, shininess, ...light].map((one) => one.value);

    for (const { canvas } of [drawn, exact]) {
      dragged(canvas, (x, y) => {
        light[0].value = 20 * x;
        light[1].value = -20 * y;
        changed();
      });
    }

    // What the network draws; the pixels that `asked` leaves out stay black. Null if a newer scene came.
    const colour_pixels = async (given, size, asked, stale) => {
      const image = new Float32Array(3 * size * size);
      const wanted = [];
      for (let pixel = 0; pixel < size * size; pixel++) if (asked(pixel)) wanted.push(pixel);
      for (let first = 0; first < wanted.length; first += AT_ONCE) {
        const some = wanted.slice(first, first + AT_ONCE);
        const at = Float32Array.from(some.flatMap((pixel) => place(pixel, size)));
        const { logits, colour: found } = await pixelNet({ scene: [given, [1, 10]], position: [at, [some.length, 2]],
          trained: [waves.value ? at : at.map(nearest), [some.length, 2]] });
        some.forEach((pixel, k) => {
          for (let c = 0; c < 3; c++) image[3 * pixel + c] = logits[k] > 0 ? found[3 * k + c] : 0;
        });
        await pause();
        if (stale()) return null;
      }
      return image;
    };

    const render = newest(async (stale) => {
      const numbers = scene(), given = Float32Array.from(numbers);
      const small = phong(numbers, REPORT);
      for (const [i, model] of models.entries()) {
        const { image } = await model({ scene: [given, [1, 10]] });
        const size = REPORT * REPORT;
        const interleaved = Float32Array.from({ length: 3 * size }, (_, k) => image[k % 3 * size + Math.floor(k / 3)]);
        draw(reports[i].context, REPORT, REPORT, (pixel, c) => interleaved[3 * pixel + c]);
        reports[i].output.value = decibels(psnr(interleaved, small, REPORT));
      }
      let asked = () => true;
      for (const size of [QUICK, COARSE, FULL]) {
        if (size > QUICK) await pause();
        if (stale()) return;
        const image = await colour_pixels(given, size, asked, stale);
        if (!image) return;
        const truth = phong(numbers, size);
        draw(drawn.context, size, size, (pixel, c) => image[3 * pixel + c]);
        draw(exact.context, size, size, (pixel, c) => truth[3 * pixel + c]);
        draw(error.context, size, size, (pixel, c) => LARGER * Math.abs(image[3 * pixel + c] - truth[3 * pixel + c]));
        drawn.output.value = decibels(psnr(image, truth, size));
        say(`Done well ${drawn.output.value}; models 1 to 3: ${reports.map((one) => one.output.value).join(", ")}`);
        if (size === COARSE) asked = near(image, size);
      }
    });

    stage.append(
      make("div", { class: "htcv-demo-tiles" }, drawn.element, exact.element, error.element,
        ...reports.map((one) => one.element)),
      make("p", { class: "htcv-demo-hint" }, "Drag on a large picture to move the light. PSNR is that of the box "
        + `around the sphere. All were trained on ${REPORT} × ${REPORT} pixels; between them the per-pixel network `
        + "needs the waves of the nearest."),
      sets.element, waves.element,
      make("div", { class: "htcv-demo-controls" }, group("Light", ...light.map((one) => one.element)),
        group("Sphere", ...position.map((one) => one.element)),
        group("Surface", ...[...colour, shininess].map((one) => one.element))));
    render();
  });
})();
