// A pet's outline: in a bundled test photograph or in one of the reader's own, which stays on the device.
(() => {
  const { choice, tile, draw, make, newest, pixels, image } = htcvLive;
  const SIDE = 64, PHOTOS = 6, SHOWN = 256;  // pixels
  const NETWORKS = [["recipe", "The report's recipe"], ["done-well", "Done well"]];
  const TINTS = [[0.94, 0.64, 0.23], null, [0.2, 0.55, 0.85]];  // of pet, background, border

  htcvLive.figure("pet", async (stage, { network, picture, say }) => {
    const nets = [];
    for (const [file] of NETWORKS) nets.push(await network(file));
    const photos = [], truths = [];
    for (let i = 0; i < PHOTOS; i++) {
      photos.push(await picture(`${i}.webp`));
      truths.push(await picture(`${i}-truth.png`));
    }
    const shown = tile("Photograph", SHOWN, "The photograph");
    const truth = tile("Drawn by hand", SIDE, "The outline drawn by hand", "htcv-pixelated");
    const answers = NETWORKS.map(([, title]) =>
      tile(title, SIDE, `The outline by the network. ${title}`, "htcv-pixelated"));

    let photo = photos[0], drawn = truths[0];
    const pictures = choice("Test photographs", photos.map((_, i) => String(i + 1)), 0, (index) => {
      [photo, drawn] = [photos[index], truths[index]];
      render();
    });
    const file = make("input", { type: "file", accept: "image/*", class: "htcv-demo-file",
      "aria-label": "Your own photograph" });
    file.addEventListener("change", async () => {
      if (!file.files.length) return;
      try {
        photo = await image(URL.createObjectURL(file.files[0]));
        drawn = null;
        pictures.value = -1;
        render();
      } catch {
        say("This file is no picture that the browser can read.");
      }
    });

    // The photograph, tinted by the class of each pixel.
    const tinted = (context, levels, classes) => draw(context, SIDE, SIDE, (pixel, c) => {
      const tint = TINTS[classes[pixel]], grey = levels[c * SIDE * SIDE + pixel];
      return tint ? 0.45 * grey + 0.55 * tint[c] : 0.8 * grey;
    });

    const render = newest(async () => {
      shown.context.drawImage(photo, 0, 0, SHOWN, SHOWN);
      const levels = pixels(photo, SIDE), known = drawn && pixels(drawn, SIDE).slice(0, SIDE * SIDE)
        .map((value) => Math.round(value * 255 / 100));
      truth.element.hidden = !known;
      if (known) tinted(truth.context, levels, known);
      const shares = [];
      for (const [i, net] of nets.entries()) {
        const { probability } = await net({ image: [levels, [1, 3, SIDE, SIDE]] });
        const size = SIDE * SIDE;
        const classes = Array.from({ length: size }, (_, p) => [0, 1, 2].reduce(
          (best, k) => probability[k * size + p] > probability[best * size + p] ? k : best, 0));
        tinted(answers[i].context, levels, classes);
        const right = known && classes.filter((value, p) => value === known[p]).length / size;
        answers[i].output.value = known ? `${(100 * right).toFixed(0)} % right` : "";
        shares.push(`${NETWORKS[i][1]}: ${known ? answers[i].output.value
          : `${(100 * classes.filter((value) => value === 0).length / size).toFixed(0)} % of the picture is pet`}`);
      }
      say(`${shares.join("; ")}.`);
    });

    stage.append(
      make("div", { class: "htcv-demo-tiles" }, shown.element, truth.element, ...answers.map((one) => one.element)),
      make("p", { class: "htcv-demo-hint" },
        `Orange is pet, blue its border. The networks see ${SIDE} × ${SIDE} pixels, as here.`),
      pictures.element,
      make("p", { class: "htcv-demo-own" },
        make("span", {}, "Your own photograph, which stays on this device: "), file));
    render();
  });
})();
