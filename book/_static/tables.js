// Makes the tables marked as sortable sortable and, where they are long, filterable and downloadable. A classic script,
// since browsers load no module from disk; without scripts they stay plain tables.
(() => {
  const LONG = 8; // rows from which a table can be filtered and saved
  const SHOWN = 20; // rows of a very long table without empty cells that are shown at first

  const textOf = (cell) => cell.textContent.replace(/\s+/g, " ").trim();
  const isEmpty = (text) => ["", "–", "—"].includes(text);
  const toNumber = (text) => parseFloat(text.replace(/,(?=\d{3})/g, "").replace(/^[≤≥<>≈~]\s*/, "").replace("−", "-"));

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // Empty cells stay last in both directions; rows that are alike keep their order.
  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [textOf(row.cells[column]), row]);
    const filled = rows.filter(([text]) => !isEmpty(text));
    const numeric = filled.every(([text]) => !Number.isNaN(toNumber(text)));
    const compare = numeric
      ? ([a], [b]) => toNumber(a) - toNumber(b)
      : ([a], [b]) => a.localeCompare(b, "en", { numeric: true });
    filled.sort((a, b) => direction * compare(a, b));
    body.append(...[...filled, ...rows.filter(([text]) => isEmpty(text))].map(([, row]) => row));
  }

  function addSorting(table, refresh) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = make("button", { type: "button", className: "serab-sort" }, ...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        headers.forEach((each) => each.setAttribute("aria-sort", "none"));
        header.setAttribute("aria-sort", direction);
        sort(table, column, direction === "ascending" ? 1 : -1);
        refresh();
      });
    });
  }

  function save(table, name) {
    const quote = (cell) => `"${textOf(cell).replaceAll('"', '""')}"`;
    const lines = [...table.rows].map((row) => [...row.cells].map(quote).join(","));
    const address = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
    make("a", { href: address, download: `${name}.csv` }).click();
    URL.revokeObjectURL(address);
  }

  function prepare(table) {
    const rows = [...table.tBodies[0].rows];
    const number = table.querySelector(".caption-number");
    const name = number ? textOf(number) : "the table";
    const filter = make("input", { type: "search", ariaLabel: `Filter ${name}`, placeholder: "Filter" });
    const count = make("output", { className: "serab-count" });
    const more = make("button", { type: "button" }, `Show all ${rows.length} rows`);
    const isBlank = (row) => [...row.cells].some((cell) => isEmpty(textOf(cell)));
    const blank = new Set(rows.filter(isBlank));
    let folded = rows.length > 2 * SHOWN;
    const limit = blank.size ? rows.length : SHOWN;

    // What the filter leaves out is hidden; of a very long table, rows with empty cells, or those beyond the limit, are
    // hidden on the screen alone, not in print, unless the reader looks for them.
    function refresh() {
      const words = filter.value.toLowerCase().split(/\s+/);
      let kept = 0;
      let beyond = 0;
      for (const row of table.tBodies[0].rows) {
        const text = textOf(row).toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        kept += !row.hidden;
        const isBeyond = folded && !filter.value && (kept > limit || blank.has(row));
        row.classList.toggle("serab-beyond", isBeyond);
        beyond += isBeyond;
      }
      count.textContent = filter.value ? `${kept} of ${rows.length} rows` : "";
      more.hidden = !beyond;
    }

    addSorting(table, refresh);
    if (rows.length <= LONG) return;
    const csv = make("button", { type: "button", ariaLabel: `Save ${name} as CSV` }, "CSV");
    csv.addEventListener("click", () => save(table, table.id || "table"));
    filter.addEventListener("input", refresh);
    more.addEventListener("click", () => {
      folded = false;
      refresh();
      filter.focus();
    });
    const frame = table.closest(".pst-scrollable-table-container") || table;
    frame.before(make("div", { className: "serab-tools" }, filter, count, csv));
    frame.after(make("div", { className: "serab-tools" }, more));
    refresh();
  }

  document.querySelectorAll("table.sortable").forEach(prepare);
})();
