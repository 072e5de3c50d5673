// The heads of a table of results sort the rows of each group; a second click turns the order round.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".htcv-sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!column) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.ariaSort === "descending" || (!head.ariaSort && !head.classList.contains("num"));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        for (const body of table.tBodies) {
          const rows = [...body.rows].slice(1);  // the first names the group
          const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
          const empty = (row) => key(row) === "";
          const order = (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
          const number = (a, b) => key(a) - key(b);
          const compare = rows.every((row) => !Number.isNaN(Number(key(row)))) ? number : order;
          rows.sort((a, b) => empty(a) - empty(b) || (up ? compare(a, b) : compare(b, a)));
          body.append(...rows);
        }
      });
    });
  }
});
