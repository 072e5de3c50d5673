// The page of search: excerpts where a server answers, the chapter of a run, chapters before their runs.
if (location.pathname.endsWith("/search.html")) {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol.startsWith("http");
  document.addEventListener("DOMContentLoaded", () => {
    const isRun = (name) => name.includes("/runs/");
    Scorer.score = ([page, , , , score]) => score + (isRun(page) ? -20 : page.startsWith("book/pages/") ? 20 : 0);
    const chapters = new Map();  // folder of a family -> what the sidebar calls its first chapter
    for (const link of document.querySelectorAll('nav.bd-links a[href*="book/pages/"]')) {
      const folder = link.pathname.replace(/[^/]*$/, "");
      if (!chapters.has(folder)) chapters.set(folder, link.textContent.trim().split(":")[0]);
    }
    new MutationObserver(() => {
      for (const link of document.querySelectorAll("#search-results ul.search > li:not([data-chapter]) > a")) {
        const name = isRun(link.pathname) ? chapters.get(link.pathname.replace(/runs\/[^/]*$/, "")) : "";
        link.parentElement.dataset.chapter = name ?? "";
        if (name) link.after(Object.assign(document.createElement("small"), { textContent: ` ${name}` }));
      }
    }).observe(document.getElementById("search-results"), { childList: true, subtree: true });
  });
}
