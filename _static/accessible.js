// Small repairs of the theme's markup, for those who read with a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  // The sidebar is a landmark of its own: logo, search, contents.
  const sidebar = document.querySelector(".bd-sidebar-primary");
  if (sidebar) {
    sidebar.setAttribute("role", "region");
    sidebar.setAttribute("aria-label", "Book");
  }
  // The arrows that unfold a chapter have no name.
  for (const summary of document.querySelectorAll("nav li.has-children > details > summary")) {
    const chapter = summary.closest("li").querySelector("a");
    summary.setAttribute("aria-label", `Pages of ${chapter ? chapter.textContent.trim() : "this chapter"}`);
  }
  // References are list items; their present role is deprecated.
  for (const entry of document.querySelectorAll('.citation-list [role="doc-biblioentry"]')) {
    entry.setAttribute("role", "listitem");
  }
});
