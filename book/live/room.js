// A pet walks through a room, and mask and depth follow. The picture is put together as those the networks learned from
// (htcv_lib/mask_depth/rooms): linear light at twice the size, colours harmonised, a contact shadow, fog, a tone curve.
(() => {
  const { slider, choice, tile, draw, dragged, make, newest } = htcvLive;
  const SIDE = 64, FINE = 128, METRES = 10;  // pixels; depth 1 is 10 m
  const SHADOW = 0.5, HARMONY = 0.4;  // light taken at the contact; how far the pet's mean colour goes to the room's
  const NETWORKS = [["report", "The report's version 2"], ["done-well", "Done well"]];

  htcvLive.figure("room", async (stage, { network, picture, json, bytes, say }) => {
    const nets = [];
    for (const [file] of NETWORKS) nets.push(await network(file));
    const { rooms, pets } = json("rooms.json");
    const scratch = make("canvas", { width: FINE, height: FINE }).getContext("2d", { willReadFrequently: true });
    const read = (source, x, y, width, height) => {
      scratch.clearRect(0, 0, FINE, FINE);
      scratch.imageSmoothingQuality = "high";
      scratch.drawImage(source, x, y, width, height);
      return scratch.getImageData(0, 0, FINE, FINE).data;
    };
    for (const [i, room] of rooms.entries()) {
      const stored = read(await picture(`room${i}.png`), 0, 0, FINE, FINE);
      room.light = Float32Array.from(stored, (value) => (value / 255) ** 2);
      room.depth = Float32Array.from(new Uint16Array(bytes(`room${i}.u16`).buffer), (value) => value / 65535);
    }
    const cutouts = [];
    for (const i of pets.keys()) cutouts.push(await picture(`pet${i}.webp`));

    const shown = tile("Drag the pet", SIDE, "A room with a pet in it", "htcv-drag");
    const names = ["Truth", ...NETWORKS.map(([, title]) => title)];
    const masks = names.map((name) => tile(`${name}: mask`, SIDE, `${name}: which pixels are pet`, "htcv-pixelated"));
    const depths = names.map((name) =>
      tile(`${name}: depth`, SIDE, `${name}: how far away each pixel is`, "htcv-pixelated"));

    const changed = () => render();
    const number = (value) => value.toFixed(2), metres = (value) => `${value.toFixed(2)} m`;
    const side = slider("sideways", { min: -0.9, max: 0.9, step: 0.02, value: 0.2, show: number }, changed);
    const away = slider("away", { min: 1.2, max: 8, step: 0.05, value: 1.8, show: metres }, changed);
    const tall = slider("height", { min: 0.4, max: 1, step: 0.02, value: 0.8, show: metres }, changed);
    const where = choice("Room", rooms.map((_, i) => `Room ${i + 1}`), 0, changed);
    const who = choice("Pet", pets.map((_, i) => `Pet ${i + 1}`), 0, changed);

    // Rows and columns are in half heights of the picture from its middle.
    const floorDepth = (room, row) => {
      const fall = row / room.focal * Math.cos(room.pitch) + Math.sin(room.pitch);
      return fall > 0 ? room.eye / fall : Infinity;
    };
    const contactRow = (room, depth) => {
      const ahead = (depth - room.eye * Math.sin(room.pitch)) / Math.cos(room.pitch);
      return room.focal * (room.eye * Math.cos(room.pitch) - ahead * Math.sin(room.pitch)) / depth;
    };
    const atFine = (index) => [2 * (index % FINE + 0.5) / FINE - 1, 2 * (Math.floor(index / FINE) + 0.5) / FINE - 1];

    const composed = () => {
      const room = rooms[where.value], column = side.value;
      const depth = Math.min(away.value, room.far[Math.round((column + 1) * 32)]);
      const row = contactRow(room, depth), height = room.focal * tall.value / depth, width = height * pets[who.value];
      const half = FINE / 2;
      const pet = read(cutouts[who.value],
        half * (column - width / 2 + 1), half * (row - height + 1), half * width, half * height);
      const alpha = Float32Array.from({ length: FINE * FINE }, (_, i) => pet[4 * i + 3] / 255);
      const own = [0, 0, 0], around = [0, 0, 0];
      let weight = 1e-3;
      for (let i = 0; i < FINE * FINE; i++) {
        weight += alpha[i];
        for (let c = 0; c < 3; c++) {
          own[c] += alpha[i] * (pet[4 * i + c] / 255) ** 2;
          around[c] += room.light[4 * i + c] / (FINE * FINE);
        }
      }
      const gains = own.map((sum, c) => HARMONY * Math.log((around[c] + 0.01) / (sum / weight + 0.01)));
      const common = (gains[0] + gains[1] + gains[2]) / 3;
      const gain = gains.map((one) => Math.min(Math.max(Math.exp(0.4 * one + 0.6 * common), 0.3), 3));
      const through = Math.exp(-room.fog * depth), wide = 0.5 * tall.value * pets[who.value];
      const image = new Float32Array(3 * SIDE * SIDE), mask = new Float32Array(SIDE * SIDE);
      for (let i = 0; i < FINE * FINE; i++) {
        const [x, y] = atFine(i), ground = floorDepth(room, y);
        const pixel = Math.floor(Math.floor(i / FINE) / 2) * SIDE + Math.floor(i % FINE / 2);
        let shade = 1;
        if (ground / METRES < room.depth[pixel] + 0.02) {
          const dx = (x * ground - column * depth) / room.focal / wide;
          const dz = (ground - depth) / Math.max(0.35 * wide, 0.06);
          shade = 1 - SHADOW * Math.exp(-dx * dx - dz * dz);
        }
        mask[pixel] += alpha[i] / 4;
        for (let c = 0; c < 3; c++) {
          const colour = (pet[4 * i + c] / 255) ** 2 * gain[c] * through + room.fogColour[c] * (1 - through);
          image[c * SIDE * SIDE + pixel] += (room.light[4 * i + c] * shade * (1 - alpha[i]) + colour * alpha[i]) / 4;
        }
      }
      const picture = image.map((light) => Math.round(255 * Math.min(Math.max(
        0.45 + room.contrast * (Math.sqrt(light) - 0.45), 0), 1)) / 255);
      const truth = room.depth.map((value, pixel) => mask[pixel] > 0.5 ? depth / METRES : Math.min(value, 1));
      return { picture, mask, depth: truth };
    };

    // Near is light, far is dark blue.
    const depthColour = (value, c) => [1 - 0.95 * value, 0.96 - 0.8 * value, 0.86 - 0.5 * value][c];

    const render = newest(async () => {
      const scene = composed(), size = SIDE * SIDE;
      draw(shown.context, SIDE, SIDE, (pixel, c) => scene.picture[c * size + pixel]);
      const found = [scene];
      for (const net of nets) found.push(await net({ image: [scene.picture, [1, 3, SIDE, SIDE]] }));
      const heard = [];
      for (const [i, { mask, depth }] of found.entries()) {
        draw(masks[i].context, SIDE, SIDE, (pixel) => mask[pixel]);
        draw(depths[i].context, SIDE, SIDE, (pixel, c) => depthColour(depth[pixel], c));
        if (!i) continue;
        let both = 0, either = 0, error = 0;
        for (let pixel = 0; pixel < size; pixel++) {
          const [mine, true_] = [mask[pixel] > 0.5, scene.mask[pixel] > 0.5];
          both += mine && true_;
          either += mine || true_;
          error += (depth[pixel] - scene.depth[pixel]) ** 2 / size;
        }
        masks[i].output.value = either ? `IoU ${(both / either).toFixed(2)}` : "empty";
        depths[i].output.value = `${(METRES * Math.sqrt(error)).toFixed(2)} m off`;
        heard.push(`${names[i]}: mask ${masks[i].output.value}, depth ${depths[i].output.value}`);
      }
      say(`${heard.join("; ")}.`);
    });

    dragged(shown.canvas, (x, y) => {
      side.value = x;
      away.value = floorDepth(rooms[where.value], y);
      changed();
    });

    stage.append(make("div", { class: "htcv-demo-panes" },
      make("div", {}, shown.element, side.element, away.element, tall.element, where.element, who.element),
      make("div", { class: "htcv-demo-tiles", style: "--across: 2" },
        ...names.flatMap((_, i) => [masks[i].element, depths[i].element]))));
    render();
  });
})();
