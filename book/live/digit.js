// A digit under another label: drawn by the reader or taken from the test set.
(() => {
  const { choice, tile, draw, make, newest } = htcvLive;
  const SIDE = 28, LABELS = [...Array(10).keys()], PEN = 2.2;  // pixels
  const NETWORKS = ["As coded", "As described", "Done well"];

  // A drawing as MNIST's makers prepared theirs: 20 pixels high or wide, its centre of mass in the middle.
  const prepared = (ink) => {
    let [left, top, right, bottom, sum, x, y] = [SIDE, SIDE, -1, -1, 0, 0, 0];
    ink.forEach((value, pixel) => {
      if (value < 0.05) return;
      const [column, row] = [pixel % SIDE, Math.floor(pixel / SIDE)];
      [left, right] = [Math.min(left, column), Math.max(right, column)];
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
      [sum, x, y] = [sum + value, x + value * (column + 0.5), y + value * (row + 0.5)];
    });
    if (!sum) return null;
    return { scale: 20 / Math.max(right - left + 1, bottom - top + 1), x: x / sum, y: y / sum };
  };

  htcvLive.figure("digit", async (stage, { network, picture, say }) => {
    const [reported, described, encoder, decoder, reader] = [await network("reported"), await network("described"),
      await network("encoder"), await network("decoder"), await network("reader")];
    const row = await picture("digits.png");

    const pad = tile("Draw a digit here", SIDE, "The digit: draw with a pen, mouse or finger, or choose one below",
      "htcv-pixelated htcv-drag");
    const answers = NETWORKS.map((name) =>
      tile(name, SIDE, `The digit under the other label. ${name}`, "htcv-pixelated"));
    const rows = NETWORKS.map((name) => tile(name, [10 * SIDE, SIDE], `The digit under each label, 0 to 9. ${name}`,
      "htcv-pixelated htcv-row"));
    const scratch = make("canvas", { width: SIDE, height: SIDE }).getContext("2d", { willReadFrequently: true });

    let digit = new Float32Array(SIDE * SIDE), drawing = false;
    const ask = (index) => { own.value = index; render(); };
    const own = choice("The digit it is", LABELS.map(String), 4, () => render());
    const wanted = choice("The label it gets", LABELS.map(String), 8, () => render());
    const show = () => draw(pad.context, SIDE, SIDE, (pixel) => digit[pixel]);
    const take = (number) => {
      scratch.drawImage(row, -SIDE * number, 0);
      const { data } = scratch.getImageData(0, 0, SIDE, SIDE);
      digit = digit.map((_, pixel) => data[4 * pixel] / 255);
      drawing = false;
      show();
      ask(number % 10);
    };
    let next = 4;
    const tests = make("button", { type: "button", onclick: () => { next = (next + 1) % 20; take(next); } },
      "Next test digit");
    const clear = make("button", { type: "button", onclick: () => { digit.fill(0); show(); render(); } }, "Clear");

    const stroke = (event, from) => {
      const box = pad.canvas.getBoundingClientRect();
      const to = [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
      scratch.strokeStyle = "#fff";
      scratch.lineWidth = PEN;
      scratch.lineCap = "round";
      scratch.beginPath();
      scratch.moveTo(...(from ?? to));
      scratch.lineTo(to[0] + 0.01, to[1]);
      scratch.stroke();
      const { data } = scratch.getImageData(0, 0, SIDE, SIDE);
      digit = digit.map((_, pixel) => data[4 * pixel] / 255);
      show();
      return to;
    };
    let last;
    pad.canvas.addEventListener("pointerdown", (event) => {
      pad.canvas.setPointerCapture(event.pointerId);
      if (!drawing) {
        scratch.fillStyle = "#000";
        scratch.fillRect(0, 0, SIDE, SIDE);
      }
      drawing = true;
      last = stroke(event);
    });
    pad.canvas.addEventListener("pointermove", (event) => {
      if (pad.canvas.hasPointerCapture(event.pointerId)) last = stroke(event, last);
    });
    pad.canvas.addEventListener("pointerup", async () => {
      const fit = prepared(digit);
      if (!fit) return;
      const copy = make("canvas", { width: SIDE, height: SIDE });
      copy.getContext("2d").drawImage(scratch.canvas, 0, 0);
      const fitted = make("canvas", { width: SIDE, height: SIDE }).getContext("2d", { willReadFrequently: true });
      fitted.setTransform(fit.scale, 0, 0, fit.scale, SIDE / 2 - fit.scale * fit.x, SIDE / 2 - fit.scale * fit.y);
      fitted.drawImage(copy, 0, 0);
      const { data } = fitted.getImageData(0, 0, SIDE, SIDE);
      digit = digit.map((_, pixel) => data[4 * pixel] / 255);
      const { probability } = await reader({ image: [digit, [1, 1, SIDE, SIDE]] });
      ask(probability.indexOf(Math.max(...probability)));
    });

    const render = newest(async () => {
      const inputs = { image: [digit, [1, 1, SIDE, SIDE]], label: [BigInt64Array.of(BigInt(own.value)), [1]] };
      const { z } = await encoder(inputs);
      const found = [await reported(inputs), await described(inputs), await decoder({ z: [z, [10, 10]] })];
      const read = [];
      for (const [i, { digits }] of found.entries()) {
        const { probability } = await reader({ image: [digits, [10, 1, SIDE, SIDE]] });
        const label = wanted.value, some = probability.subarray(10 * label, 10 * label + 10);
        const best = some.indexOf(Math.max(...some));
        read.push(best);
        draw(answers[i].context, SIDE, SIDE, (pixel) => digits[label * SIDE * SIDE + pixel]);
        answers[i].output.value = `read as ${best} ${best === label ? "✓" : "✗"}`;
        draw(rows[i].context, 10 * SIDE, SIDE, (pixel) => {
          const [column, line] = [pixel % (10 * SIDE), Math.floor(pixel / (10 * SIDE))];
          return digits[Math.floor(column / SIDE) * SIDE * SIDE + line * SIDE + column % SIDE];
        });
      }
      say(`Asked for ${wanted.value}: as coded ${read[0]}, as described ${read[1]}, done well ${read[2]}.`);
    });

    const labelled = (text, element) => make("div", {}, make("p", { class: "htcv-demo-hint" }, text), element);
    stage.append(
      make("div", { class: "htcv-demo-tiles" }, pad.element, ...answers.map((one) => one.element)),
      make("div", { class: "htcv-demo-choice" }, tests, clear),
      make("div", { class: "htcv-demo-controls" }, labelled("This is a", own.element),
        labelled("Redraw it as", wanted.element)),
      ...rows.map((one) => one.element),
      make("p", { class: "htcv-demo-hint" }, "Each row: the labels 0 to 9. As coded, the loss looks at the wrong "
        + "label. The reading is that of the report's classifier."));
    take(next);
  });
})();
