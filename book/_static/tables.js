// Makes the tables marked as sortable sortable, filterable and downloadable, with the DataTables that itables carries.
// Without scripts, or in print, they stay plain tables.
import { ITable } from "./dt_bundle.js";

function prepare(table) {
  const caption = table.querySelector("caption");
  const title = caption ? caption.textContent.replace(/#\s*$/, "").trim() : "table";
  const long = table.rows.length > 40;
  new ITable(table, {
    paging: long,
    pageLength: 20,
    lengthMenu: [20, 50, { label: "all", value: -1 }],
    info: long,
    order: [],
    scrollX: true,
    classes: ["display", "nowrap", "compact"],
    language: { search: "Filter" },
    layout: {
      topStart: { buttons: [{ extend: "csvHtml5", text: "CSV", title, filename: table.id || "table" }] },
      topEnd: "search",
    },
  });
}

document.querySelectorAll("table.sortable").forEach(prepare);
