// What the theme leaves out: names for what only shows a sign, tables that say that they scroll, figures opened large.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const textOf = (element) => (element ? element.textContent.replace(/\s+/g, " ").replace(/#\s*$/, "").trim() : "");

  // "Show the code" is followed, for those who hear the page, by what the code makes.
  function nameCode(summary) {
    summary.removeAttribute("aria-label");
    const cell = summary.closest(".cell");
    const number = cell?.nextElementSibling?.querySelector(".caption-number");
    if (!number) return;
    for (const text of all("p", summary)) {
      const rest = Object.assign(document.createElement("span"), { className: "visually-hidden" });
      rest.textContent = ` of ${textOf(number).replace(/\.$/, "")}`;
      text.append(rest);
    }
  }

  // A table that is wider than the text takes the margin, too, from which the contents give way meanwhile.
  const contents = document.querySelector("div.bd-sidebar-secondary");
  const inSight = new Set();
  const margin = new IntersectionObserver((changes) => {
    changes.forEach(({ target, isIntersecting }) => inSight[isIntersecting ? "add" : "delete"](target));
    contents?.classList.toggle("serab-away", inSight.size > 0);
  });

  // The part of a table that is out of sight is faded, and can be reached by keyboard.
  function watch(frame) {
    if (frame.scrollWidth - frame.clientWidth > 1) {
      frame.classList.add("serab-spread");
      margin.observe(frame);
    }
    const update = () => {
      const room = frame.scrollWidth - frame.clientWidth;
      frame.classList.toggle("serab-more", room > 1 && frame.scrollLeft < room - 1);
      if (room > 1) {
        frame.tabIndex = 0;
        frame.setAttribute("role", "region");
        frame.setAttribute("aria-label", `${textOf(frame.querySelector("caption")) || "Table"} (scrolls sideways)`);
      }
    };
    frame.addEventListener("scroll", update, { passive: true });
    new ResizeObserver(update).observe(frame);
  }

  function openLarge(image) {
    const dialog = document.createElement("dialog");
    dialog.className = "serab-large";
    dialog.setAttribute("aria-label", "Figure, large");
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
    const copy = image.cloneNode();
    copy.removeAttribute("style");
    dialog.append(close, copy);
    document.body.append(dialog);
    dialog.addEventListener("click", (event) => event.target !== copy && dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    dialog.showModal();
  }

  // The words that were searched for are marked, and the first of them is in sight; the theme leaves both out.
  function showFound() {
    if (typeof SphinxHighlight === "undefined" || DOCUMENTATION_OPTIONS.pagename === "search") return;
    SphinxHighlight.highlightSearchWords();
    setTimeout(() => {
      const found = all(".bd-article .highlighted").find((each) => each.offsetParent && !each.closest("h1"));
      if (found && !location.hash) found.scrollIntoView({ block: "center" });
    }, 100);
  }

  // The excerpts of the search are of the text, not of code.
  if (typeof Search !== "undefined") {
    const toText = Search.htmlToText;
    Search.htmlToText = (html, anchor) => {
      const page = new DOMParser().parseFromString(html, "text/html");
      all("details.hide, .cell_input, .onlyprint", page).forEach((each) => each.remove());
      return toText(page.documentElement.outerHTML, anchor);
    };
  }

  function prepare() {
    showFound();
    all(".citation-list[role=list]").forEach((list) => list.removeAttribute("role"));
    all("details.hide > summary").forEach(nameCode);
    for (const button of all("button.copybtn")) {
      const title = button.closest(".sd-card")?.querySelector(".sd-card-title");
      button.setAttribute("aria-label", `Copy ${textOf(title) || "code"}`);
    }
    all(".primary-toggle").forEach((button) => button.setAttribute("aria-label", "Chapters"));
    all(".secondary-toggle").forEach((button) => button.setAttribute("aria-label", "Contents of this page"));
    all(".bd-article .pst-scrollable-table-container").forEach(watch);
    for (const link of all(".bd-article figure a.image-reference")) {
      link.title = "Open large";
      link.addEventListener("click", (event) => {
        event.preventDefault();
        openLarge(link.querySelector("img"));
      });
    }
  }

  // After the scripts that make the copy buttons.
  if (document.readyState === "complete") prepare();
  else window.addEventListener("load", prepare);
})();
