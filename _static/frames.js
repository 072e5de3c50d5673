// Frames under a slider. Without this script, and on paper, the page shows the same sprite as a film strip.
// Pictures are cut out on canvases: as enlarged CSS backgrounds they show a line of the frame beside them.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".htcv-frames")) {
    const positions = JSON.parse(box.dataset.positions);
    const sprite = box.querySelector(".htcv-film img");
    const slider = box.querySelector("input");
    const output = box.querySelector("output");
    const show = () => {
      const frame = Number(slider.value);
      box.querySelectorAll("canvas").forEach((canvas, row) => {
        const { width, height } = canvas;
        canvas.getContext("2d").drawImage(
          sprite, frame * width, row * height, width, height, 0, 0, width, height);
      });
      output.value = positions[frame];
      slider.setAttribute("aria-valuetext", positions[frame]);
    };
    sprite.decode().then(() => {
      show();
      slider.addEventListener("input", show);
      box.querySelector(".htcv-player").hidden = false;
      box.classList.add("htcv-live");
    });
  }
});
