// The leaderboard: DataTables sorts and pages, native selects filter; the choice stands in the address.
(() => {
  "use strict";
  const board = window.LEADERBOARD;
  const rows = board.rows.map(([group, score, tuned, target, ...cells]) => {
    const common = board.groups[group];
    return {
      ...common,
      score,
      target,
      cells,
      scoreLabel: board.scores[score] + (tuned ? "†" : ""),
      targetLabel: board.targets[common.benchmark][target],
      record: `${common.page}#score-${score}`,
    };
  });
  const FIRST_METRIC = 3;
  const PAIR = "pair", EVERY = "every", ALL = "*";
  const select = (name) => document.getElementById(`choose-${name}`);
  const NAMES = ["benchmark", "target", "method", "score", "metric", "protocol"];

  document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);

  // Numbers by value, what has none last in both directions.
  const ordered = (sign) => (a, b) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : sign * (a - b));
  DataTable.type("value", { order: { asc: ordered(1), desc: ordered(-1) } });

  function link(address, text) {
    const node = document.createElement("a");
    node.href = address;
    node.textContent = text;
    return node;
  }

  const words = (text, address) => ({
    data: null,
    className: "words-left",
    type: "string",
    render: (_, kind, row) => (kind === "display" && address ? link(address(row), text(row)) : text(row)),
  });

  const number = (cell, better) => ({
    data: null,
    type: "value",
    searchable: false,
    orderSequence: better < 0 ? ["asc", "desc"] : ["desc", "asc"],
    render: (_, kind, row) => (kind === "display" ? link(row.record, cell(row)[1]) : cell(row)[0]),
  });

  const columns = [
    words((row) => board.benchmarks[row.benchmark]),
    words((row) => row.label, (row) => `methods/${row.method}.html`),
    words((row) => row.scoreLabel, (row) => row.record),
    ...board.metrics.map(([, better], i) => number((row) => row.cells[i], better)),
    words((row) => row.targetLabel),
    number((row) => row.id, 1),
    { data: "seeds", searchable: false },
  ];

  const table = new DataTable("#leaderboard", {
    data: rows,
    columns,
    autoWidth: false,
    pageLength: 25,
    order: [],
    layout: { topStart: "pageLength", topEnd: "search", bottomStart: "info", bottomEnd: "paging" },
    language: { search: "Search", lengthMenu: "_MENU_ rows a page", zeroRecords: "No row fits this choice." },
  });

  function fill(name, options, fallback) {
    const box = select(name), wanted = box.options.length ? box.value : fallback;
    box.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    box.value = options.some(([value]) => value === wanted) ? wanted : options[0][0];
  }

  // Distinct (value, text) pairs of rows, in their order; equal texts are told apart by the value.
  function distinct(rows, value, text) {
    const found = new Map(rows.map((row) => [value(row), text(row)]));
    const count = {};
    for (const label of found.values()) count[label] = (count[label] || 0) + 1;
    return [...found].map(([key, label]) => [key, count[label] > 1 ? `${label} (${key})` : label]);
  }

  const everything = (what) => [ALL, `All ${what}`];

  function fillAll(first) {
    const chosen = (name, otherwise = ALL) => first.get(name) || otherwise;
    fill("benchmark", [...distinct(rows, (r) => r.benchmark, (r) => board.benchmarks[r.benchmark]), everything("benchmarks")], chosen("benchmark", rows[0].benchmark));
    const own = rows.filter((row) => [ALL, row.benchmark].includes(select("benchmark").value));
    const targets = distinct(own, (r) => r.target, (r) => r.targetLabel);
    fill("target", [...targets, everything("sets and groups")], chosen("target", targets[0][0]));
    fill("method", [everything("methods"), ...distinct(own, (r) => r.method, (r) => r.label.replace(/ \((corrected|released)\)$/, ""))], chosen("method"));
    fill("score", [everything("scores"), ...distinct(own, (r) => r.score, (r) => board.scores[r.score])], chosen("score"));
    fill("protocol", [everything("protocols"), ...distinct(own, (r) => r.protocol, (r) => r.protocol)], chosen("protocol"));
    const metrics = board.metrics.map(([name], i) => [String(i), name]);
    fill("metric", [[PAIR, "FPR95, AUROC"], ...metrics, [EVERY, "Every metric"]], chosen("metric", PAIR));
    document.querySelector(".filters .protocol").hidden = new Set(rows.map((row) => row.protocol)).size < 2;
  }

  function shown() {
    const choice = select("metric").value;
    if (choice === PAIR) return board.shown;
    return choice === EVERY ? board.metrics.map((_, i) => i) : [Number(choice)];
  }

  function choose(sorted) {
    const one = Object.fromEntries(NAMES.map((name) => [name, select(name).value]));
    const exact = ["benchmark", "target", "method", "score", "protocol"];
    table.search.fixed("choice", (_, row) => exact.every((name) => [ALL, row[name]].includes(one[name])));
    const visible = new Set(shown());
    board.metrics.forEach((_, i) => table.column(FIRST_METRIC + i).visible(visible.has(i), false));
    table.column(0).visible(one.benchmark === ALL, false);
    if (sorted) {
      const by = visible.size === 1 ? [...visible][0] : board.shown[board.shown.length - 1];
      table.order([[FIRST_METRIC + by, board.metrics[by][1] < 0 ? "asc" : "desc"]]);
    }
    table.columns.adjust().draw();
  }

  function remember() {
    const kept = NAMES.map((name) => [name, select(name).value]);
    location.replace(`#${new URLSearchParams(kept)}`);
  }

  board.metrics.forEach(([, , title], i) => { table.column(FIRST_METRIC + i).title(title); });
  fillAll(new URLSearchParams(location.hash.slice(1)));
  choose(true);
  for (const name of NAMES) {
    select(name).addEventListener("change", () => {
      if (name === "benchmark") fillAll(new URLSearchParams());
      choose(name === "metric" || name === "benchmark");
      remember();
    });
  }
})();
