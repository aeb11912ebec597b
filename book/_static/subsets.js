// Lets readers leave tasks out of the table of the models by UM: ranks and means are computed anew, and how much of the
// ranking on all tasks is left. Without scripts the table shows the ranking on all of them.
(() => {
  const table = document.querySelector("table#tbl-subset");
  if (!table) return;
  const FIRST = 3; // the columns before: model, rank, UM
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  const codes = heads.slice(FIRST).map((head) => head.textContent.trim());
  const values = rows.map((row) => [...row.cells].slice(FIRST).map((cell) => Number(cell.textContent)));

  const sign = (difference) => (Math.abs(difference) < 1e-9 ? 0 : Math.sign(difference));
  const average = (some) => values.map((own) => some.reduce((sum, task) => sum + own[task], 0) / some.length);
  const rank = (means) => means.map((own) => 1 + means.filter((other) => sign(other - own) > 0).length);

  // Kendall's tau-b of two rankings.
  function correlate(one, other) {
    let [agreeing, nOne, nOther] = [0, 0, 0];
    for (let i = 0; i < one.length; i++) {
      for (let j = 0; j < i; j++) {
        const [a, b] = [sign(one[i] - one[j]), sign(other[i] - other[j])];
        agreeing += a * b;
        nOne += a !== 0;
        nOther += b !== 0;
      }
    }
    return agreeing / Math.sqrt(Math.max(nOne * nOther, 1));
  }

  const all = codes.map((_, task) => task);
  const whole = average(all);
  const places = rank(whole);
  const [lowest, highest] = [Math.min(...values.flat()), Math.max(...values.flat())];
  const choice = Object.assign(document.createElement("fieldset"), { className: "serab-choice" });
  const result = document.createElement("output");
  choice.append(Object.assign(document.createElement("legend"), { textContent: "Tasks that count" }));
  const boxes = heads.slice(FIRST).map((head) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    const label = document.createElement("label");
    label.append(box, ` ${head.textContent.trim()}`);
    label.title = head.querySelector("abbr")?.title ?? "";
    choice.append(label);
    box.addEventListener("change", update);
    return box;
  });

  function update() {
    const chosen = all.filter((task) => boxes[task].checked);
    const rest = all.filter((task) => !boxes[task].checked);
    if (!chosen.length) {
      result.textContent = "Choose at least one task.";
      return;
    }
    const means = average(chosen);
    const ranks = rank(means);
    rows.forEach((row, model) => {
      const moved = places[model] - ranks[model];
      const arrow = moved ? ` ${moved > 0 ? "\u25b2" : "\u25bc"}\u202f${Math.abs(moved)}` : "";
      row.cells[1].textContent = `${ranks[model]}${arrow}`;
      row.cells[2].textContent = means[model].toFixed(1);
      const share = (100 * (means[model] - lowest)) / (highest - lowest);
      row.cells[2].style.setProperty("--share", `${share.toFixed(1)}%`);
      codes.forEach((_, task) => row.cells[FIRST + task].classList.toggle("serab-out", !boxes[task].checked));
    });
    table.tBodies[0].append(...[...rows.keys()].sort((a, b) => ranks[a] - ranks[b]).map((model) => rows[model]));
    const tau = (other) => correlate(means, other).toFixed(2).replace("-", "\u2212");
    const left = rest.length ? `, to that on the ${rest.length} left out ${tau(average(rest))}` : "";
    result.textContent = `${chosen.length} of ${all.length} tasks: Kendall's tau to the ranking on all is ${tau(whole)}${left}.`;
  }

  const frame = table.closest(".pst-scrollable-table-container") || table;
  frame.before(choice, result);
  update();
})();
