// The review page: draws what `data` holds. Whatever comes from documents reaches the page as text nodes only; no HTML is ever parsed.
"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const WORDS = JSON.parse(document.getElementById("words").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const PAGE = 24, PAIRS = 6;
  const state = {
    language: DATA.language, domain: "", unit: 0, heights: "log", row: -1, open: new Set(), moved: new Map(),
    query: "", rule: "", shown: PAGE, pairs: PAIRS, price: DATA.price,
  };

  // --- words and numbers ---
  const t = (key, values = {}) => WORDS[key][state.language === "zh" ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const locale = () => (state.language === "zh" ? "zh-CN" : "en");
  const number = (n, digits = 0) => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(n);
  const value = (n) => (n === null || n === undefined ? "" : Math.abs(n) >= 1e4 ? number(n, 1) : String(Number(n.toPrecision(6))));
  const short = (n) => (Math.abs(n) >= 1e4 ? new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(n) : String(Number(n.toPrecision(4))));
  const percent = (part, all, digits = 1) => new Intl.NumberFormat(locale(), { style: "percent", minimumFractionDigits: digits === 2 ? 2 : 0, maximumFractionDigits: digits }).format(all ? part / all : 0);
  const size = (n) => {
    const at = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(1, n)) / 3)));
    return `${number(n / 1000 ** at, at ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][at]}`;
  };
  const amount = (n) => (state.unit ? size(n) : number(n));
  const named = (domain) => (domain === "other" ? t("other") : domain);
  const domains = () => (state.domain ? [state.domain] : DATA.domains);
  const total = (byDomain) => domains().reduce((sum, d) => sum + (byDomain?.[d] ?? 0), 0);

  // --- nodes ---
  function fill(node, attributes, children) {
    for (const [name, given] of Object.entries(attributes ?? {})) {
      if (given === null || given === undefined || given === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), given);
      else if (name === "value" || name === "open" || name === "selected") node[name] = given;
      else node.setAttribute(name, given === true ? "" : given);
    }
    node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }
  const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
  const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
  const section = (id, ...children) => document.getElementById(id).replaceChildren(...children.flat(9).filter(Boolean));
  const color = (domain) => `c${Math.min(5, domain === "other" ? 5 : DATA.domains.indexOf(domain))}`;

  function choice(label, options, chosen, choose) {
    const group = el("div", { class: "pick", role: "group", "aria-label": label });
    for (const [key, text] of options) {
      group.append(el("button", { type: "button", "aria-pressed": String(key === chosen), onclick: () => choose(key) }, text));
    }
    return group;
  }
  function meter(part, all, kind) {
    const share = all ? Math.min(1, part / all) : 0;
    return svg("svg", { class: "meter", viewBox: "0 0 100 9", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "base", width: 100, height: 9, rx: 1.5 }), svg("rect", { class: kind, width: 100 * share, height: 9, rx: 1.5 }));
  }

  // --- overview ---
  const unit = () => DATA.mixture?.unit ?? "tokens"; // of the shares: tokens, bytes, or another tokenizer's tokens
  const unitName = () => (unit() === "bytes" ? t("bytes") : unit() === "tokens" ? t("tokens") : unit());
  function overview() {
    const f = DATA.funnel, read = sum(f.read, 0), kept = read - f.stages.reduce((n, s) => n + sum(s.dropped, 0), 0);
    const tile = (big, what, more) => el("div", { class: "tile" }, el("span", {}, what), el("b", {}, big), more && el("span", {}, more));
    const amount_ = DATA.mixture && (DATA.mixture.total ?? DATA.mixture.total_tokens);
    section("overview",
      el("h1", {}, t("title", { name: `${DATA.name}@${DATA.version}` })),
      DATA.policy && el("p", { class: "lead" }, DATA.policy),
      el("div", { class: "tiles" },
        tile(number(read), t("documents_of", { what: t("read") }), t("text_read", { size: size(sum(f.read, 1)), done: number(DATA.units[0]), all: number(DATA.units[1]) })),
        tile(number(read - kept), t("documents_of", { what: t("dropped") }), t("unreadable", { n: number(f.records.unreadable) })),
        tile(number(kept), t("documents_of", { what: DATA.complete ? t("in_release") : t("still_in") }), t("of_read", { share: percent(kept, read) })),
        typeof amount_ === "number" && tile(unit() === "bytes" ? size(amount_) : number(amount_), unitName(),
          unit() === "tokens" ? t("tokens_with_repeats", { tokenizer: DATA.mixture.tokenizer }) : t("with_repeats"))),
      !DATA.complete && el("p", { class: "note" }, t("unfinished")),
      el("p", { class: "note" }, t("excerpts")));
  }
  const sum = (byDomain, i) => domains().reduce((all, d) => all + (byDomain[d]?.[i] ?? 0), 0);

  // --- funnel ---
  function funnel() {
    const picture = el("div"), aside = el("aside", { "aria-live": "polite" });
    section("funnel",
      el("h2", {}, t("funnel")), el("p", { class: "lead" }, t("funnel_lead")),
      el("div", { class: "tools" },
        choice(t("heights"), [[0, t("documents")], [1, t("bytes")]], state.unit, (u) => { state.unit = u; funnel(); }),
        el("span", { class: "key" }, domains().map((d) => el("span", {}, el("i", { class: color(d) }), named(d))))),
      el("div", { class: "flow" }, picture, aside), funnelTable());
    drawFlow(picture, aside);
  }

  function drawFlow(picture, aside) {
    const i = state.unit, width = Math.max(300, picture.clientWidth), wide = width > 560, top = 26, ds = domains();
    const read = sum(DATA.funnel.read, i), stream = Math.min(330, width * (wide ? 0.36 : 0.28)), scale = read ? stream / read : 0;
    const turn = stream + (wide ? 60 : 22), label = turn + 10, rows = [];
    const left = Object.fromEntries(ds.map((d) => [d, DATA.funnel.read[d]?.[i] ?? 0]));
    const stages = DATA.funnel.stages.map((stage, at) => ({ stage, at, lost: sum(stage.dropped, i) }));
    const edges = (y) => {
      let x = 1;
      return ds.map((d) => { const from = x; x += left[d] * scale; return { y, from, to: x }; });
    };
    const levels = [edges(top)];
    let y = top;
    for (const { stage, at, lost } of stages.filter((s) => s.lost)) {
      const height = Math.max(wide ? 30 : 40, lost * scale + 12), before = levels.at(-1), reached = Object.values(left).reduce((a, b) => a + b, 0);
      const row = svg("g", { class: `row${at === state.row ? " on" : ""}`, tabindex: 0, role: "button", "data-stage": stage.name,
        "aria-label": `${stage.name}: ${t("dropped_of", { n: amount(lost), share: percent(lost, reached), all: amount(reached) })}` },
        svg("rect", { class: "hit", x: 0, y, width, height, rx: 5 }));
      let side = y + height / 2 - lost * scale / 2;
      ds.forEach((d, k) => {
        const n = stage.dropped[d]?.[i] ?? 0, thick = Math.max(n * scale, 1.2);
        if (!n) return;
        const right = before[k].to, inner = right - n * scale;
        row.append(svg("path", { class: `ribbon ${color(d)}`,
          d: `M${right},${y}Q${right},${side} ${turn},${side}V${side + thick}Q${inner},${side + thick} ${inner},${y}Z` }));
        side += n * scale;
      });
      const middle = y + height / 2, figures = `−${amount(lost)} · ${percent(lost, reached)}`;
      row.append(...(wide
        ? [svg("text", { x: label, y: middle + 4.5 }, stage.name), svg("text", { x: width - 6, y: middle + 4.5, "text-anchor": "end", class: "soft" }, figures)]
        : [svg("text", { x: label, y: middle - 3 }, stage.name), svg("text", { x: label, y: middle + 12, class: "soft" }, figures)]));
      const show = () => {
        state.row = at;
        for (const other of row.parentNode.querySelectorAll(".row.on")) other.classList.remove("on");
        row.classList.add("on");
        told(aside, stage, lost, reached);
      };
      for (const event of ["mouseenter", "focus", "click"]) row.addEventListener(event, show);
      row.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(); } });
      rows.push(row);
      for (const d of ds) left[d] -= stage.dropped[d]?.[i] ?? 0;
      y += height;
      levels.push(edges(y));
    }
    levels.push(edges(y + 16));
    const flows = ds.map((d, k) => {
      let down = `M${levels[0][k].from},${levels[0][k].y}H${levels[0][k].to}`, up = "Z";
      for (let n = 1; n < levels.length; n++) {
        const a = levels[n - 1][k], b = levels[n][k], m = (a.y + b.y) / 2;
        down += `C${a.to},${m} ${b.to},${m} ${b.to},${b.y}`;
        up = `C${b.from},${m} ${a.from},${m} ${a.from},${a.y}${up}`;
      }
      return svg("path", { class: color(d), d: `${down}H${levels.at(-1)[k].from}${up}`, "pointer-events": "none" });
    });
    const kept = Object.values(left).reduce((a, b) => a + b, 0), end = y + 16;
    const quiet = stages.filter((s) => !s.lost).length;
    picture.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${end + 28}`, height: end + 28, role: "group", "aria-label": t("funnel") },
      svg("text", { x: 1, y: 16, class: "strong" }, `${t("read")} ${amount(read)}`),
      ...rows, ...flows,
      svg("text", { x: 1, y: end + 19, class: "strong" }, `${DATA.complete ? t("in_release") : t("still_in")} ${amount(kept)} · ${percent(kept, read)}`)));
    if (quiet) picture.append(el("p", { class: "small" }, t("quiet_stages", { n: quiet })));
    const chosen = stages.find((s) => s.at === state.row && s.lost) ?? (innerWidth > 900 && [...stages].sort((a, b) => b.lost - a.lost)[0]);
    if (chosen?.lost) {
      const reached = read - stages.filter((s) => s.at < chosen.at).reduce((n, s) => n + s.lost, 0);
      told(aside, chosen.stage, chosen.lost, reached);
    }
  }

  function told(aside, stage, lost, reached) {
    const reasons = stage.reasons.map(([why, by]) => [why, total(by)]).filter((r) => r[1]).sort((a, b) => b[1] - a[1]);
    aside.replaceChildren(...[
      el("h3", {}, stage.name),
      el("p", {}, t("dropped_of", { n: amount(lost), share: percent(lost, reached), all: amount(reached) })),
      el("p", { class: "small" }, domains().filter((d) => stage.dropped[d]).map((d, k) =>
        `${k ? " · " : ""}${named(d)} ${number(stage.dropped[d][0])} (${size(stage.dropped[d][1])})`).join("")),
      el("span", { class: "small" }, t("documents_of", { what: t("reasons") })),
      el("ul", {}, reasons.slice(0, 8).map(([why, n]) => el("li", {}, el("code", {}, why), el("span", {}, number(n))))),
      reasons.length > 8 && el("p", { class: "small" }, t("and_more", { n: reasons.length - 8 })),
      el("button", { class: "link", type: "button", onclick: () => { state.rule = `stage ${stage.name}`; state.query = ""; state.shown = PAGE; examples(); document.getElementById("examples").scrollIntoView(); } }, t("see_examples"))].filter(Boolean));
  }

  function funnelTable() {
    const ds = domains(), many = ds.length > 1, head = many ? [...ds, ""] : ds;
    const cells = (by, i) => (many ? [...ds.map((d) => by[d]?.[i] ?? 0), sum(by, i)] : [sum(by, i)]);
    const line = (name, by, total_, sign = "") => el("tr", { class: total_ && "total" }, el("th", { scope: "row" }, name),
      cells(by, 0).map((n, k) => el("td", { class: !n && "none" }, n ? sign + number(n) : "·")), el("td", { class: "none" }, sum(by, 1) ? sign + size(sum(by, 1)) : "·"));
    const kept = Object.fromEntries(ds.map((d) => [d, [0, 1].map((i) => (DATA.funnel.read[d]?.[i] ?? 0) - DATA.funnel.stages.reduce((n, s) => n + (s.dropped[d]?.[i] ?? 0), 0))]));
    const split = (part) => Object.fromEntries((DATA.funnel.released ?? []).filter((r) => r.split === part).map((r) => [r.domain, [r.documents, r.text_bytes]]));
    return el("details", { class: "table", open: state.open.has("funnel table"), ontoggle: remember("funnel table") }, el("summary", {}, t("as_table")),
      el("div", { class: "scroll" }, el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("stage")), head.map((d) => el("th", { scope: "col", class: "name" }, d ? named(d) : t("all"))), el("th", { scope: "col" }, t("bytes")))),
        el("tbody", {}, line(t("read"), DATA.funnel.read, true), DATA.funnel.stages.map((s) => line(s.name, s.dropped, false, "−")),
          line(DATA.complete ? t("in_release") : t("still_in"), kept, true),
          DATA.complete && [line(t("training"), split("train"), false), line(t("validation"), split("validation"), false)]))));
  }
  const remember = (key) => (event) => { if (event.target.open) state.open.add(key); else state.open.delete(key); };

  // --- bounds ---
  const meant = (where) => Object.entries(where).map(([k, v]) => `${k} ${v.join(", ")}`).join("; ");
  function bounds() {
    const filters = DATA.filters.map((f, at) => ({ f, at, reached: total(f.reached), dropped: total(f.dropped) })).filter((x) => !state.domain || x.reached);
    section("bounds",
      el("h2", {}, t("bounds")), el("p", { class: "lead" }, t("bounds_lead")),
      el("div", { class: "tools" },
        el("span", { class: "small" }, t("heights")),
        choice(t("heights"), [["log", t("logarithmic")], ["linear", t("linear")]], state.heights, (h) => { state.heights = h; bounds(); }),
        el("span", { class: "key" }, el("span", {}, el("i", { class: "swatch stay-key" }), t("kept")), el("span", {}, el("i", { class: "swatch go-key" }), t("dropped"))),
        el("button", { type: "button", onclick: () => { state.moved.clear(); bounds(); } }, t("reset"))),
      filters.map(({ f, at, reached, dropped }) => filterBlock(f, `filter ${at}`, reached, dropped)));
  }

  function filterBlock(f, key, reached, dropped) {
    const holder = el("div", { class: "cards" });
    const about = [f.for ? t("for", { what: meant(f.for) }) : t("for_all"), f.unless && t("unless", { what: meant(f.unless) }),
      f.missing && t(f.missing === "drop" ? "missing_drop" : "missing_keep")].filter(Boolean).join("; ");
    const build = () => { if (!holder.childElementCount) holder.append(...f.measures.map((m, k) => card(f, m, `${key} ${k}`))); };
    const block = el("details", { class: "filter", "data-filter": f.name, open: state.open.has(key) },
      el("summary", {}, el("h3", {}, f.name),
        el("span", { class: "sum small" }, f.kind === "score" ? t("score_sum", { reached: number(reached) }) : t("filter_sum", { dropped: number(dropped), reached: number(reached) })),
        meter(dropped, reached, "gone"), el("span", { class: "small" }, about)), holder);
    block.addEventListener("toggle", (event) => { if (block.open) build(); remember(key)(event); });
    if (block.open) build();
    return block;
  }

  function card(f, m, key) {
    const box = el("article", { class: "card", "data-measure": m.name },
      el("h3", {}, m.name),
      m.definition && el("p", { class: "definition", lang: "en", tabindex: 0 }, m.definition, m.unit && ` (${m.unit})`));
    if (!m.low.length || !domains().some((d) => ["others", "only", "passed", "kept"].some((k) => m.counts[`${d} ${k}`]))) {
      box.append(el("p", { class: "small" }, t("nothing_reached")));
      return box;
    }
    const prefix = (kinds) => {
      const out = [0];
      for (let k = 0; k < m.low.length; k++) out.push(out[k] + domains().reduce((n, d) => n + kinds.reduce((s, kind) => s + (m.counts[`${d} ${kind}`]?.[k] ?? 0), 0), 0));
      return out;
    };
    const counts = { all: prefix(["others", "only", "passed", "kept"]), only: prefix(["only"]), passed: prefix(["passed", "kept"]), kept: prefix(["kept"]) };
    const strict = f.kind === "similarity", free = f.kind === "score";
    const sides = ["min", "max"].filter((s) => free || m[s] !== null).map((name) => {
      const places = name === "min" || strict ? m.minimum : m.maximum;
      const bound = m[name], found = places.findIndex((p) => p[0] !== null && p[0] === bound);
      const start = bound === null ? (name === "min" ? 0 : places.length - 1) : found;
      return { name, places, bound, start, key: `${key} ${name}` };
    });
    const now = (side) => state.moved.get(side.key) ?? { k: side.start };
    // How many of a kind a side cuts off: exact at a cut; between two, a share of the range that the number falls into.
    const cut = (side, at, kind) => {
      const p = counts[kind], n = p.at(-1);
      if (at.k !== undefined) return side.name === "min" ? p[at.k] : n - p[at.k];
      const below = p[at.whole] + at.part * (p[at.whole + 1] - p[at.whole] || 0);
      return side.name === "min" ? below : n - below;
    };
    const gone = (kind, where) => Math.min(counts[kind].at(-1), sides.reduce((n, s) => n + cut(s, where(s), kind), 0));
    const typed = (side, number_) => {
      const exact = side.places.findIndex((p) => p[0] === number_);
      if (exact >= 0) return { k: exact };
      const inclusive = side.name === "max" && !strict; // as a maximum, values equal to it stay
      let k = 0;
      while (k < m.low.length && (inclusive ? m.high[k] <= number_ : m.high[k] < number_)) k++;
      if (k === m.low.length || (inclusive ? m.low[k] > number_ : m.low[k] >= number_)) return { k, at: number_ };
      return { whole: k, part: (number_ - m.low[k]) / (m.high[k] - m.low[k]), at: number_ };
    };
    const scaled = (v) => (m.log ? Math.log1p(Math.max(0, v)) : v);
    const onAxis = (v) => Math.min(1, Math.max(0, (scaled(v) - scaled(m.axis[0])) / (scaled(m.axis[1]) - scaled(m.axis[0]))));
    const position = (side, at) => (at.at !== undefined ? onAxis(at.at) : side.places[at.k][1]);
    const threshold = (side, at) => (at.at !== undefined ? at.at : side.places[at.k][0]);

    const output = el("output", { "aria-live": "polite" });
    const { picture, move } = histogram(m, counts, sides);
    box.append(picture);
    const refresh = () => { move(sides.map((s) => ({ side: s, at: position(s, now(s)), start: s.bound === null ? null : s.places[s.start][1] }))); say(); };
    for (const side of sides) box.append(slider(m, side, strict, now, threshold, position, typed, refresh));
    box.append(output);

    function say() {
      const n = counts.all.at(-1), moved = sides.some((s) => state.moved.has(s.key)), about = sides.some((s) => now(s).whole !== undefined);
      const whole = (x) => number(Math.round(x));
      const alone = gone("all", now), line = t(about ? "alone_about" : moved ? "alone_moved" : "alone", { n: whole(alone), all: number(n), share: percent(alone, n) });
      const parts = [el("span", { "data-alone": Math.round(alone) }, free && !moved ? t("try_bound") : line)];
      if (!moved && !free) {
        const named_ = Object.values(m.dropped).reduce((a, by) => a + total(by), 0);
        if (named_ !== Math.round(alone)) parts.push(" ", t("ledger", { n: number(named_) }));
      }
      const goes = gone("passed", now), stays = gone("kept", now), back = counts.only.at(-1) - gone("only", now);
      if (Math.round(goes)) parts.push(" ", el("span", { class: "out", "data-go": Math.round(goes), "data-kept": Math.round(stays) }, t(DATA.complete ? "would_go" : "would_go_open", { n: whole(goes), kept: whole(stays) })));
      if (Math.round(back)) parts.push(" ", el("span", { class: "in", "data-return": Math.round(back) }, t("would_return", { n: whole(back) })));
      if (strict && moved) parts.push(" ", t("clusters_change"));
      if (total(m.missing)) parts.push(" ", t("missing_values", { n: number(total(m.missing)) }));
      output.replaceChildren(...parts);
    }
    refresh();
    return box;
  }

  function slider(m, side, strict, now, threshold, position, typed, refresh) {
    const name = side.name === "min" ? t("minimum") : strict ? t("below") : t("maximum");
    const range = el("input", { type: "range", min: 0, max: 1000, step: "any", "data-side": side.name, "aria-label": `${m.name}: ${name}` });
    const box = el("input", { type: "number", step: "any", "data-side": side.name, "aria-label": `${m.name}: ${name}`, placeholder: t("none") });
    const set = (at) => {
      if (at.k === side.start && at.at === undefined) state.moved.delete(side.key); else state.moved.set(side.key, at);
      show(); refresh();
    };
    const show = () => {
      const at = now(side), shown = threshold(side, at);
      range.value = String(1000 * position(side, at));
      range.setAttribute("aria-valuetext", shown === null ? t("none") : String(shown));
      box.value = shown === null ? "" : String(shown);
    };
    range.addEventListener("input", () => {
      const x = Number(range.value) / 1000;
      let best = 0;
      side.places.forEach((p, k) => { if (Math.abs(p[1] - x) < Math.abs(side.places[best][1] - x)) best = k; });
      if (Math.abs(side.places[side.start][1] - x) < 0.006) best = side.start; // the recipe's own bound is easy to find again
      set({ k: best });
      if (document.activeElement === range) range.value = String(1000 * side.places[best][1]);
    });
    range.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -1e6, End: 1e6 }[event.key];
      if (!step) return;
      event.preventDefault();
      const at = now(side), k = at.k ?? at.whole;
      set({ k: Math.min(side.places.length - 1, Math.max(0, k + step)) });
    });
    box.addEventListener("change", () => {
      if (box.value === "") set({ k: side.name === "min" ? 0 : side.places.length - 1 });
      else set(typed(side, Number(box.value)));
    });
    show();
    return el("div", { class: "slider" },
      el("span", {}, name, " ", el("span", { class: "small" }, t("in_recipe", { value: side.bound === null ? t("none") : value(side.bound) }))), box, range);
  }

  function histogram(m, counts, sides) {
    const W = 340, H = 104, room = 11, n = m.edges.length - 1, bars = Array(n).fill(0);
    for (const d of domains()) for (const kind of ["others", "only", "passed", "kept"]) (m.bars[`${d} ${kind}`] ?? []).forEach((c, k) => { bars[k] += c; });
    const most = Math.max(...bars, 1), height = (c) => (!c ? 0 : state.heights === "log" ? Math.max(1.5, (H - room) * Math.log1p(c) / Math.log1p(most)) : Math.max(0.8, (H - room) * c / most));
    const id = `clip${histogram.count = (histogram.count ?? 0) + 1}`;
    const path = bars.map((c, k) => {
      const a = m.edges[k] * W, b = m.edges[k + 1] * W, gap = b - a > 4 ? 0.6 : 0.2;
      return c ? `M${(a + gap).toFixed(2)},${H}V${(H - height(c)).toFixed(2)}H${(b - gap).toFixed(2)}V${H}Z` : "";
    }).join("");
    const clip = svg("clipPath", { id });
    const lines = svg("g");
    const picture = svg("svg", { viewBox: `0 0 ${W} ${H + 18}`, role: "img", "aria-label": t("histogram_of", { measure: m.name, n: number(counts.all.at(-1)) }) },
      svg("defs", {}, clip), svg("line", { class: "grid", x1: 0, x2: W, y1: H + 0.5, y2: H + 0.5 }),
      svg("path", { class: "stay", d: path }), svg("path", { class: "go", d: path, "clip-path": `url(#${id})` }), lines,
      svg("text", { x: bars.indexOf(most) < n / 2 ? Math.max(0, m.edges[bars.indexOf(most)] * W) : Math.min(W, m.edges[bars.indexOf(most) + 1] * W), y: 8, "text-anchor": bars.indexOf(most) < n / 2 ? "start" : "end" }, short(most)),
      ticks(m).map(([text, x]) => [svg("line", { class: "grid", x1: x * W, x2: x * W, y1: H, y2: H + 4 }),
        svg("text", { x: Math.min(W, Math.max(0, x * W)), y: H + 14, "text-anchor": x < 0.06 ? "start" : x > 0.94 ? "end" : "middle" }, text)]));
    const move = (places) => {
      clip.replaceChildren(...places.map(({ side, at }) => (side.name === "min" ? svg("rect", { x: -2, y: 0, width: Math.max(0, at * W + 2), height: H + 1 }) : svg("rect", { x: at * W, y: 0, width: Math.max(0, W - at * W + 2), height: H + 1 }))));
      const line = (kind, x) => svg("line", { class: kind, x1: x * W, x2: x * W, y1: room - 8, y2: H });
      lines.replaceChildren(...places.flatMap(({ at, start }) => [start !== null && line("now", start), at !== start && (at > 0.0005 && at < 0.9995) && line("moved", at)].filter(Boolean)));
    };
    return { picture, move };
  }

  function ticks(m) {
    const [a, b] = m.axis, f = (v) => (m.log ? Math.log1p(Math.max(0, v)) : v), at = (v) => (f(v) - f(a)) / (f(b) - f(a));
    const found = [];
    if (m.log) {
      for (const v of [0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]) if (at(v) >= 0 && at(v) <= 1) found.push(v);
    } else {
      const rough = (b - a) / 4, unit = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 2.5, 5, 10].map((s) => s * unit).find((s) => s >= rough && (!m.whole || Number.isInteger(s))) ?? 1;
      for (let v = Math.ceil(a / step) * step; v <= b + step / 1e6; v += step) found.push(Number(v.toPrecision(10)));
    }
    return found.map((v) => [short(v), at(v)]);
  }

  // --- examples ---
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const hay = DATA.examples.documents.map((e) => fold([e.text, e.address, e.id, e.stage, e.reason, e.domain, e.topic].filter(Boolean).join("\n")));
  function matching() {
    const words = fold(state.query).split(/\s+/).filter(Boolean), [what, ...rest] = state.rule.split(" "), name = rest.join(" ");
    return DATA.examples.documents.filter((e, k) => {
      if (state.domain && e.domain && e.domain !== state.domain) return false;
      if (what === "kept" && e.stage || what === "dropped" && !e.stage) return false;
      if (what === "stage" && e.stage !== name || what === "reason" && `${e.stage} ${e.reason}` !== name) return false;
      return words.every((w) => hay[k].includes(w));
    });
  }

  function examples() {
    const list = el("div", { class: "list" }), count = el("span", { class: "small", role: "status" }), more = el("p", { class: "more" });
    const update = () => {
      const found = matching();
      count.textContent = t("found", { n: number(found.length), all: number(DATA.examples.documents.length) });
      list.replaceChildren(...(found.length ? found.slice(0, state.shown).map(example) : [el("p", { class: "small" }, t("nothing_found"))]));
      more.replaceChildren(...(found.length > state.shown ? [el("button", { type: "button", onclick: () => { state.shown += PAGE; update(); } }, t("show_more", { n: Math.min(PAGE, found.length - state.shown) }))] : []));
    };
    const rules = el("select", { "aria-label": t("reasons"), onchange: (event) => { state.rule = event.target.value; state.shown = PAGE; update(); } },
      option("", t("every_example", { n: number(DATA.examples.documents.length) })), option("kept", t("all_kept")), option("dropped", t("all_dropped")));
    for (const stage of new Set(DATA.examples.documents.map((e) => e.stage).filter(Boolean))) {
      const mine = DATA.examples.reasons.filter((r) => r[0] === stage);
      rules.append(el("optgroup", { label: stage }, option(`stage ${stage}`, `${stage}: ${t("all")}`),
        mine.length > 1 && mine.map(([, why, n]) => option(`reason ${stage} ${why}`, `${why} (${number(n)})`))));
    }
    section("examples",
      el("h2", {}, t("examples")), el("p", { class: "lead" }, t("examples_lead")),
      el("div", { class: "tools" },
        el("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), value: state.query,
          oninput: (event) => { state.query = event.target.value; state.shown = PAGE; update(); } }), rules, count),
      list, more, DATA.examples.left_out > 0 && el("p", { class: "small" }, t("fewer", { n: number(DATA.examples.left_out) })));
    update();
  }
  const option = (key, text) => el("option", { value: key, selected: key === state.rule }, text);

  function example(e) {
    const why = e.stage
      ? el("p", { class: "why" }, el("span", { class: "tag out" }, e.stage), el("code", {}, e.reason), e.value !== undefined ? ` — ${t("here", { value: value(e.value) })}` : "")
      : el("p", { class: "why" }, el("span", { class: "tag kept" }, DATA.complete ? t(e.split === "validation" ? "validation" : "in_release") : t("still_in")),
        [e.token_count !== undefined && `${number(e.token_count)} ${t("tokens").toLowerCase()}`, e.repeats > 1 && t("used_times", { n: e.repeats }), e.quality !== undefined && `quality ${value(e.quality)}`, e.topic].filter(Boolean).join(" · "));
    const foot = [e.domain && named(e.domain), e.characters !== undefined && (e.characters > e.text.length ? t("first_of", { n: number(e.text.length), all: number(e.characters) }) : t("characters", { n: number(e.characters) })), e.id].filter(Boolean).join(" · ");
    return el("article", { class: "doc" }, why,
      e.address && el("p", { class: "address", dir: "auto" }, e.address),
      e.text !== undefined ? el("div", { class: "text", dir: "auto", tabindex: 0, lang: language(e.domain) }, e.text) : el("p", { class: "small" }, t(e.withheld === "no text" ? "no_text" : "text_withheld")),
      e.other && el("p", { class: "foot" }, t("instead", { id: e.other })),
      el("p", { class: "foot" }, foot));
  }
  const language = (domain) => ({ zh: "zh-Hans", en: "en" })[domain];

  // --- duplicates ---
  function duplicates() {
    const found = DATA.pairs.filter((p) => !state.domain || p.domain === state.domain);
    section("duplicates",
      el("h2", {}, t("duplicates")), el("p", { class: "lead" }, t("duplicates_lead")),
      !found.length && el("p", { class: "small" }, t("no_pairs")),
      found.slice(0, state.pairs).map(pair),
      found.length > state.pairs && el("p", { class: "more" }, el("button", { type: "button", onclick: () => { state.pairs += PAIRS; duplicates(); } }, t("show_more", { n: Math.min(PAIRS, found.length - state.pairs) }))));
  }
  function pair(p) {
    const side = (s, kept) => el("div", { class: "doc" },
      el("p", { class: "why" }, el("span", { class: `tag ${kept ? "kept" : "out"}` }, t(kept ? "kept" : "dropped")), [s.source, s.date].filter(Boolean).join(" · ")),
      el("p", { class: "address", dir: "auto" }, s.address),
      el("div", { class: "text", dir: "auto", tabindex: 0, lang: language(p.domain) }, s.text.map(([kind, text]) =>
        kind === "differs" ? el("mark", {}, text) : kind === "cut" ? el("span", { class: "cut" }, ` ${t("cut", { n: number(text) })} `) : text)),
      kept && p.left && el("p", { class: "foot" }, t("left_later", { stage: p.left.stage, reason: p.left.reason })),
      el("p", { class: "foot" }, `${t("characters", { n: number(s.characters) })} · ${s.id}`));
    return el("article", { class: "pair" },
      el("h3", {}, [t("similarity", { value: number(p.similarity, 3) }), named(p.domain), p.cluster_size > 1 && t("cluster_of", { n: number(p.cluster_size) })].filter(Boolean).join(" · ")),
      el("div", { class: "sides" }, side(p.kept, true), side(p.dropped, false)),
      !p.whole && el("p", { class: "small" }, t("beginning")));
  }

  // --- shares ---
  function shares() {
    const mix = DATA.mixture;
    if (!mix) { section("shares", el("h2", {}, t("shares")), el("p", { class: "lead" }, t("no_shares"))); return; }
    const other = unit() !== "tokens";
    const bar = (got, want) => svg("svg", { class: "meter", viewBox: "0 0 100 9", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "base", width: 100, height: 9 }), svg("rect", { class: "got", width: 100 * got, height: 9 }), svg("rect", { class: "want", x: 100 * (want ?? 0) - 0.5, width: 1, height: 9 }));
    const row = (name, d, part) => el("tr", { class: part && "part" }, el("th", { scope: "row" }, named(name), d.binding === true ? [" ", el("span", { class: "tag out" }, t("binds"))] : ""),
      el("td", {}, bar(d.share ?? 0, d.share_wanted)), el("td", {}, percent(d.share, 1, 2)), el("td", {}, d.share_wanted === undefined || d.share_wanted === null ? "" : percent(d.share_wanted, 1, 2)),
      el("td", {}, d.share_wanted === undefined || d.share_wanted === null ? "" : t("points", { n: new Intl.NumberFormat(locale(), { maximumFractionDigits: 2, signDisplay: "exceptZero" }).format(100 * (d.share - d.share_wanted)).replace("-", "−") })),
      other && el("td", {}, d[unit()] === undefined ? "" : number(d[unit()])),
      el("td", {}, d.tokens === undefined ? "" : number(d.tokens)), el("td", {}, d.unique_tokens === undefined ? "" : number(d.unique_tokens)), el("td", {}, d.documents === undefined ? "" : number(d.documents)),
      el("td", {}, d.epochs === undefined ? "" : number(d.epochs, 2)), el("td", {}, d.max_epochs === undefined ? "" : number(d.max_epochs, 2)));
    const shortage = [mix.shortage ?? []].flat();
    section("shares",
      el("h2", {}, t("shares")), el("p", { class: "lead" }, t("shares_lead", { unit: unitName().toLowerCase() })),
      el("div", { class: "scroll" }, el("table", {},
        el("thead", {}, el("tr", {}, [t("domain"), "", t("share"), t("wanted"), t("difference"), ...(other ? [unitName()] : []), t("tokens"), t("unique"), t("documents"), t("epochs"), t("most_epochs")].map((h) => el("th", { scope: "col" }, h)))),
        el("tbody", {}, Object.entries(mix.domains).map(([name, d]) => [row(name, d), Object.entries(d.parts ?? {}).map(([part, p]) => row(part, p, true))])))),
      shortage.length > 0 && [el("h3", {}, t("shortages")), el("ul", {}, shortage.map((s) => el("li", { lang: "en" }, s)))]);
  }

  // --- time ---
  function time() {
    const timed = DATA.timings.filter((s) => s.core_seconds !== undefined);
    if (!timed.length) { section("time", el("h2", {}, t("time")), el("p", { class: "lead" }, t("not_timed"))); return; }
    const all = timed.reduce((n, s) => n + s.core_seconds, 0), read = Object.values(DATA.funnel.read).reduce((n, r) => n + r[0], 0), body = el("tbody");
    const money = (x) => (state.price > 0 ? new Intl.NumberFormat(locale(), { maximumSignificantDigits: 3 }).format(x) : "");
    const fixed = (x, digits) => new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(x);
    const update = () => body.replaceChildren(
      ...DATA.timings.map((s) => {
        const hours = s.rows ? s.core_seconds / s.rows * 1e6 / 3600 : null;
        return s.core_seconds === undefined ? el("tr", {}, el("th", { scope: "row" }, s.step), el("td", { class: "none", colspan: 6 }, ""))
          : el("tr", {}, el("th", { scope: "row" }, s.step), el("td", {}, meter(s.core_seconds, all, "got")), el("td", {}, fixed(s.core_seconds, 1)), el("td", {}, fixed(all ? 100 * s.core_seconds / all : 0, 1), " %"),
            el("td", {}, s.rows ? number(s.rows) : ""), el("td", {}, hours === null ? "" : fixed(hours, 2)), el("td", {}, money(s.core_seconds / 3600 * state.price)), el("td", {}, hours === null ? "" : money(hours * state.price)));
      }),
      el("tr", { class: "total" }, el("th", { scope: "row" }, t("total")), el("td"), el("td", {}, fixed(all, 1)), el("td"), el("td", {}, number(read)), el("td", {}, read ? fixed(all / read * 1e6 / 3600, 2) : ""),
        el("td", { "data-cost": state.price > 0 ? all / 3600 * state.price : "" }, money(all / 3600 * state.price)), el("td", {}, read ? money(all / read * 1e6 / 3600 * state.price) : "")));
    section("time",
      el("h2", {}, t("time")), el("p", { class: "lead" }, t("time_lead")),
      el("div", { class: "tools" }, el("label", {}, t("price"), " ", el("input", { type: "number", min: 0, step: "any", value: state.price ?? "", id: "price",
        oninput: (event) => { state.price = Number(event.target.value) || null; update(); } }))),
      el("div", { class: "scroll" }, el("table", {},
        el("thead", {}, el("tr", {}, [t("step"), "", t("core_seconds"), t("share_of_time"), t("documents"), t("per_million"), t("cost"), t("cost_per_million")].map((h) => el("th", { scope: "col" }, h)))), body)),
      timed.length < DATA.timings.length && el("p", { class: "small" }, t("partly_timed")));
    update();
  }

  // --- the page ---
  const SECTIONS = { overview, funnel, bounds, examples, duplicates, shares, time };
  function frame() {
    document.documentElement.lang = state.language === "zh" ? "zh-Hans" : "en";
    document.title = t("title", { name: `${DATA.name}@${DATA.version}` });
    document.querySelector(".name").textContent = `${DATA.name}@${DATA.version}`;
    for (const node of document.querySelectorAll("[data-word]")) node.textContent = t(node.dataset.word);
    for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
    document.querySelector("nav").replaceChildren(...Object.keys(SECTIONS).map((id) => el("a", { href: `#${id}` }, t(id))));
    document.querySelector("footer").replaceChildren(t("made_of", { fingerprint: DATA.fingerprint }));
    const button = document.getElementById("language");
    button.textContent = t("other_language");
    button.lang = state.language === "zh" ? "en" : "zh-Hans";
    const focused = document.activeElement?.dataset?.domain;
    document.getElementById("domains").replaceChildren(...["", ...DATA.domains].map((d) => el("button", { type: "button", "data-domain": d, "aria-pressed": String(d === state.domain),
      onclick: () => { state.domain = d; state.shown = PAGE; state.pairs = PAIRS; draw(); } }, d ? named(d) : t("all"))));
    if (focused !== undefined) document.querySelector(`#domains [data-domain="${CSS.escape(focused)}"]`)?.focus();
  }
  function draw() {
    frame();
    for (const render of Object.values(SECTIONS)) render();
  }
  const most = DATA.filters.map((f, at) => [Object.values(f.dropped).reduce((a, b) => a + b, 0), at]).sort((a, b) => b[0] - a[0])[0];
  if (most) state.open.add(`filter ${most[1]}`);
  document.getElementById("language").addEventListener("click", () => { state.language = state.language === "zh" ? "en" : "zh"; draw(); });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; funnel(); } });
  draw();
})();
