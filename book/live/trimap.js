// A trimap shrunk as class numbers and as a photograph, pixel by pixel: what lies under one, and what the average says.
(() => {
  const { choice, tile, draw, make } = htcvLive;
  const CLASSES = ["pet", "background", "border"];
  const COLOURS = [[0.94, 0.64, 0.23], [0.2, 0.27, 0.36], [0.66, 0.86, 0.91]];
  const CELL = 16;  // pixels of the canvas a pixel of the trimap

  htcvLive.figure("trimap", async (stage, { picture, json, say }) => {
    const { side, patches } = json("patches.json");
    const photos = [];
    for (const i of patches.keys()) photos.push(await picture(`${i}.png`));
    const photo = tile("Photograph", side * CELL, "The photograph, enlarged", "htcv-pixelated");
    const maps = [["Nearest neighbour", "nearest"], ["As in the report", "bilinear"]].map(([title, key]) => ({ key,
      ...tile(title, side * CELL, `${title}: the class of each pixel. Arrow keys move from pixel to pixel`) }));
    let at = 0;

    const told = () => {
      const { nearest, bilinear, shares } = patches[which.value];
      const under = CLASSES.map((name, k) => [name, shares[k][at]]).filter(([, share]) => share > 0.005);
      const mean = shares.reduce((sum, one, k) => sum + (k + 1) * one[at], 0);
      maps.forEach(({ output }, i) => { output.value = CLASSES[[nearest, bilinear][i][at]]; });
      const mixed = under.map(([name, share]) => `${Math.round(100 * share)} % ${name}`).join(", ");
      say(`Under this pixel: ${mixed}. Mean of the class numbers ${mean.toFixed(2)}, `
        + `stored as ${bilinear[at] + 1}: ${CLASSES[bilinear[at]]}.`);
    };
    const render = () => {
      const patch = patches[which.value];
      photo.context.imageSmoothingEnabled = false;
      photo.context.drawImage(photos[which.value], 0, 0, side * CELL, side * CELL);
      for (const { key, context } of maps) {
        draw(context, side * CELL, side * CELL, (pixel, c) => {
          const [x, y] = [pixel % (side * CELL), Math.floor(pixel / (side * CELL))];
          const shade = x % CELL && y % CELL ? 1 : 0.8;
          return shade * COLOURS[patch[key][Math.floor(y / CELL) * side + Math.floor(x / CELL)]][c];
        });
      }
      for (const { context } of [photo, ...maps]) {
        context.strokeStyle = "#fff";
        context.lineWidth = 3;
        context.strokeRect(at % side * CELL + 1.5, Math.floor(at / side) * CELL + 1.5, CELL - 2, CELL - 2);
      }
      told();
    };
    const move = (place) => {
      if (place === at || place < 0 || place >= side * side) return;
      at = place;
      render();
    };
    const start = (index) => {  // at a pixel that is border, and that the mean calls background
      const { nearest, bilinear } = patches[index];
      at = nearest.findIndex((value, place) => value === 2 && bilinear[place] === 1);
      render();
    };
    const which = choice("Trimap", patches.map((_, i) => `Trimap ${i + 1}`), 0, start);
    for (const { canvas } of maps) {
      canvas.tabIndex = 0;
      canvas.addEventListener("pointermove", (event) => {
        const box = canvas.getBoundingClientRect();
        const [column, row] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
          .map((share) => Math.min(Math.max(Math.floor(share * side), 0), side - 1));
        move(row * side + column);
      });
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -side, ArrowDown: side }[event.key];
        if (!step || (Math.abs(step) === 1 && Math.floor((at + step) / side) !== Math.floor(at / side))) return;
        event.preventDefault();
        move(at + step);
      });
    }
    stage.append(
      make("div", { class: "htcv-demo-tiles" }, photo.element, ...maps.map((one) => one.element)),
      make("p", { class: "htcv-demo-hint" }, "Orange is pet, blue its border, dark the background. Point at a pixel."),
      which.element);
    start(0);
  });
})();
