"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const MARKS = { error: "✗", warning: "!", note: "·", unknown: "?" };

/** An element with attributes and children; strings become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** A cell that is no text: buttons to nodes of the graph, or the bars of a histogram. */
function drawn(value) {
  if (value.nodes) {
    return value.nodes.map((name) => {
      const row = data.graph.names.indexOf(name);
      return row < 0 ? make("span", {}, `${name} `) : make("button", { class: "place", onclick: () => graph.go(row) }, name);
    });
  }
  const most = Math.log(Math.max(...value.histogram.map((bin) => bin[1])) + 1);
  return value.histogram.filter((bin) => bin[1]).map(([name, count]) => make("div", { class: "bin" }, make("span", {}, name),
    make("meter", { max: "1", value: String(Math.log(count + 1) / most) }), make("span", {}, String(count))));
}

function table(head, rows) {
  const cell = (tag) => (text) => typeof text === "object" ? make(tag, {}, ...drawn(text))
    : make(tag, /^[\d<−-]/.test(text) ? { class: "number" } : {}, String(text));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head.map(cell("th")))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell("td"))))));
}

function header() {
  const model = data.model;
  document.title = `${model.name} · friction_tui`;
  const facts = model.facts.map((fact) => make("li", {}, fact));
  document.getElementById("header").append(make("h1", {}, model.name), make("ul", { class: "facts" }, ...facts),
    make("p", { class: model.level }, model.verdict), ...model.open.map((text) => make("p", { class: "muted" }, text)));
}

function finding(one, at) {
  const places = one.places.map((place) => {
    const row = graph.item(place.path);
    return row < 0 ? make("span", {}, place.text) : make("button", { class: "place", onclick: () => graph.go(row) }, place.text);
  });
  const joined = places.flatMap((place, index) => (index ? [", ", place] : [place]));
  const body = make("div", {}, make("p", {}, one.cause),
    joined.length ? make("p", {}, "at ", ...joined) : null,
    ...one.evidence.map((text) => make("pre", {}, text)),
    ...one.fixes.map((text) => make("p", {}, "→ ", text)),
    ...one.engine.map((said) => make("pre", { class: "muted" }, `${said.source}: ${said.text}`)),
    make("p", { class: "muted" }, `${one.kind} · said by ${one.source}`));
  const details = make("details", at < 3 && one.level === "error" ? { open: "" } : {},
    make("summary", {}, make("span", { class: one.level }, `${MARKS[one.level]} `), one.title), body);
  return details;
}

function findings() {
  const section = document.getElementById("findings");
  section.append(make("h2", {}, `Findings (${data.findings.length})`));
  if (!data.findings.length) section.append(make("p", { class: "muted" }, "none"));
  section.append(...data.findings.map(finding));
}

/** The graph as the app draws it: a row a node in display order, modules that fold, values as lines in lanes. */
class Graph {
  ROW = 20;
  constructor(nodes) {
    this.nodes = nodes;
    this.folded = new Set();
    this.chosen = 0;
    this.zoom = 1;
    this.byPath = new Map(nodes.paths.map((path, item) => [path, item]));
    this.readers = nodes.names.map(() => []);
    nodes.inputs.forEach((inputs, item) => inputs.forEach((read) => this.readers[read].push(item)));
    this.counts = this.scopeCounts();
    this.foldLarge();
  }

  item(path) { return this.byPath.has(path) ? this.byPath.get(path) : -1; }

  scopeCounts() {
    const counts = new Map();
    this.nodes.scopes.forEach((scope) => {
      this.chain(scope).forEach((name) => counts.set(name, (counts.get(name) || 0) + 1));
    });
    return counts;
  }

  /** The names of a scope and all that hold it, outermost first. */
  chain(scope) {
    const parts = this.nodes.scopeTable[scope] || [];
    return parts.map((_, depth) => parts.slice(0, depth + 1).join("/"));
  }

  /** Modules are folded where the whole would be too long, except on the way to an error. */
  foldLarge() {
    if (this.nodes.names.length <= 400) return;
    const open = new Set();
    this.nodes.marks.forEach((mark, item) => {
      if (mark === "error" && open.size < 40) this.chain(this.nodes.scopes[item]).forEach((name) => open.add(name));
    });
    for (const name of this.counts.keys()) if (!open.has(name)) this.folded.add(name);
  }

  /** Visible rows: {item} for a node, {scope, items, folded} for a module's first line. */
  rows() {
    const rows = [];
    let open = [];
    let hidden = null;
    for (const item of this.nodes.order) {
      const chain = this.chain(this.nodes.scopes[item]);
      if (hidden !== null && chain.includes(hidden.scope)) { hidden.items.push(item); continue; }
      hidden = null;
      let shared = 0;
      while (shared < open.length && open[shared] === chain[shared]) shared += 1;
      open = chain.slice(0, shared);
      for (let depth = shared; depth < chain.length && hidden === null; depth += 1) {
        const row = { scope: chain[depth], depth, items: [item], folded: this.folded.has(chain[depth]) };
        rows.push(row);
        open.push(chain[depth]);
        if (row.folded) hidden = row;
      }
      if (hidden === null) rows.push({ item, depth: chain.length, items: [item] });
    }
    return rows;
  }

  /** Rows, where each item is shown, and lines between rows: {from, to, lane}. */
  layout() {
    this.shown = this.rows();
    this.rowOf = new Map();
    this.shown.forEach((row, at) => {
      if (row.item !== undefined || row.folded) row.items.forEach((item) => this.rowOf.set(item, at));
    });
    const lines = new Map();
    this.nodes.inputs.forEach((inputs, item) => {
      const to = this.rowOf.get(item);
      for (const read of inputs) {
        const from = this.rowOf.get(read);
        if (from === undefined || to === undefined || from === to) continue;
        const key = from;
        const line = lines.get(key) || { from, to: from, ends: new Set() };
        line.to = Math.max(line.to, to);
        line.ends.add(to);
        lines.set(key, line);
      }
    });
    const free = [];
    this.lines = [...lines.values()].sort((a, b) => a.from - b.from);
    for (const line of this.lines) {
      let lane = free.findIndex((until) => until <= line.from);
      if (lane < 0) lane = free.length;
      free[lane] = line.to;
      line.lane = lane;
    }
    this.lanes = Math.min(free.length, 24);
    this.resize();
  }

  mount(section) {
    this.box = make("div", { id: "graph", tabindex: "0", role: "tree", "aria-label": "Graph: arrows move, Space folds, n goes to the next problem" });
    this.room = make("div", { id: "room" });
    this.canvas = make("canvas");
    this.box.append(this.canvas, this.room);
    this.told = make("div", { id: "node", class: "mono", "aria-live": "polite" });
    const search = make("input", { type: "search", placeholder: "search a node, operator or shape", "aria-label": "Search the graph" });
    search.addEventListener("keydown", (event) => { if (event.key === "Enter") this.search(search.value, event.shiftKey ? -1 : 1); });
    const button = (text, act) => make("button", { onclick: act }, text);
    section.append(make("h2", {}, `Graph (nodes: ${this.nodes.count})`), make("div", { id: "tools" }, search,
      button("next problem (n)", () => this.problem(1)), button("fold all", () => this.foldAll(true)),
      button("unfold all", () => this.foldAll(false)), button("−", () => this.scale(1 / 1.2)), button("+", () => this.scale(1.2))),
    this.box, this.told);
    this.box.addEventListener("scroll", () => this.draw());
    this.box.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.scale(event.deltaY < 0 ? 1.1 : 1 / 1.1);
    }, { passive: false });
    this.drag();
    new ResizeObserver(() => this.draw()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.layout();
    this.tell();
  }

  drag() {
    let last = null;
    this.box.addEventListener("pointerdown", (event) => { last = [event.clientX, event.clientY]; });
    this.box.addEventListener("pointermove", (event) => {
      if (last === null || event.buttons !== 1) return;
      this.box.scrollBy(last[0] - event.clientX, last[1] - event.clientY);
      last = [event.clientX, event.clientY];
    });
    addEventListener("pointerup", () => { last = null; });
  }

  resize() {
    this.room.style.height = `${Math.max(this.shown.length * this.ROW * this.zoom, 1)}px`;
    this.box.style.height = `min(70vh, ${this.shown.length * this.ROW * this.zoom + 24}px)`;
    this.room.style.width = `${(this.lanes * 12 + 1100) * this.zoom}px`;
    this.draw();
  }

  scale(by) {
    this.zoom = Math.min(Math.max(this.zoom * by, 0.3), 3);
    this.resize();
  }

  draw() {
    const width = this.box.clientWidth, height = this.box.clientHeight, ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const style = getComputedStyle(this.box), colour = (name) => {
      const probe = this.probe || (this.probe = make("span"));
      probe.style.color = `var(--${name})`;
      this.box.append(probe);
      const found = getComputedStyle(probe).color;
      probe.remove();
      return found;
    };
    const colours = Object.fromEntries(["text", "muted", "line", "error", "warning", "note", "chosen", "panel"].map((name) => [name, colour(name)]));
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio * this.zoom, 0, 0, ratio * this.zoom, -this.box.scrollLeft * ratio, -this.box.scrollTop * ratio);
    pen.font = `13px ${style.fontFamily.includes("mono") ? style.fontFamily : "ui-monospace, Menlo, Consolas, monospace"}`;
    pen.textBaseline = "middle";
    const first = Math.max(Math.floor(this.box.scrollTop / (this.ROW * this.zoom)) - 1, 0);
    const last = Math.min(first + Math.ceil(height / (this.ROW * this.zoom)) + 2, this.shown.length);
    const x = (lane) => 14 + Math.min(lane, this.lanes) * 12, y = (row) => row * this.ROW + this.ROW / 2;
    pen.strokeStyle = colours.line;
    pen.lineWidth = 1.4;
    for (const line of this.lines) {
      if (line.to < first || line.from > last) continue;
      pen.beginPath();
      pen.moveTo(x(line.lane), y(line.from));
      pen.lineTo(x(line.lane), y(line.to));
      for (const end of line.ends) {
        if (end < first || end > last) continue;
        pen.moveTo(x(line.lane), y(end));
        pen.lineTo(x(this.lanes) + 4, y(end));
      }
      pen.moveTo(x(line.lane), y(line.from));
      pen.lineTo(x(this.lanes) + 4, y(line.from));
      pen.stroke();
    }
    const left = x(this.lanes) + 12;
    for (let at = first; at < last; at += 1) {
      const row = this.shown[at];
      if (at === this.chosen) {
        pen.fillStyle = colours.chosen;
        pen.fillRect(left - 6, at * this.ROW, 2000, this.ROW);
      }
      const marks = row.items.map((item) => this.nodes.marks[item]).filter(Boolean);
      const mark = ["error", "warning", "unknown"].find((name) => marks.includes(name)) || "";
      pen.fillStyle = mark ? colours[mark === "unknown" ? "note" : mark] : colours.text;
      const indent = left + row.depth * 14;
      if (row.scope !== undefined) {
        const count = row.folded ? row.items.length : this.counts.get(row.scope);
        pen.fillText(`${row.folded ? "▸" : "▾"} ${row.scope.split("/").pop()}${mark && row.folded ? `  ${MARKS[mark]} ${marks.length}` : ""}`, indent, y(at));
        pen.fillStyle = colours.muted;
        pen.fillText(`${count} nodes`, left + 560, y(at));
        continue;
      }
      const name = this.nodes.names[row.item];
      pen.fillText(`${mark ? MARKS[mark] : "●"} ${this.nodes.ops[row.item]}`, indent, y(at));
      pen.fillStyle = colours.muted;
      pen.fillText(name.length > 40 ? `…${name.slice(-39)}` : name, indent + 170, y(at));
      pen.fillText(this.nodes.labels[row.item] || "", left + 560, y(at));
    }
  }

  tell() {
    const row = this.shown[this.chosen];
    if (!row) return;
    const item = row.item;
    if (item === undefined) { this.told.textContent = `${row.scope}\n${row.items.length > 1 ? row.items.length : this.counts.get(row.scope)} nodes`; return; }
    const name = (other) => `${this.nodes.ops[other]} ${this.nodes.names[other]}`.trim();
    const note = this.nodes.notes[item];
    this.told.textContent = `${name(item)}   ${this.nodes.labels[item] || ""}${note ? `\n${note}` : ""}` +
      `\nreads: ${this.nodes.inputs[item].map(name).join(", ") || "nothing that is computed"}` +
      `\nread by: ${this.readers[item].map(name).join(", ") || "nobody"}`;
  }

  choose(at) {
    this.chosen = Math.min(Math.max(at, 0), this.shown.length - 1);
    const top = this.chosen * this.ROW * this.zoom, high = this.box.clientHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    if (top + this.ROW * this.zoom > this.box.scrollTop + high) this.box.scrollTop = top - high / 2;
    this.draw();
    this.tell();
  }

  /** Go to an item, unfolding what hides it. */
  go(item) {
    this.chain(this.nodes.scopes[item]).forEach((name) => this.folded.delete(name));
    this.layout();
    this.choose(this.rowOf.get(item));
    this.box.focus({ preventScroll: true });
    this.box.scrollIntoView({ block: "nearest" });
  }

  toggle(at) {
    const row = this.shown[at];
    if (row.scope === undefined) return;
    if (!this.folded.delete(row.scope)) this.folded.add(row.scope);
    this.layout();
    this.choose(at);
  }

  foldAll(folded) {
    const item = this.shown[this.chosen]?.items[0] ?? 0;
    this.folded = new Set(folded ? this.counts.keys() : []);
    this.layout();
    this.choose(this.rowOf.get(item) ?? 0);
  }

  here() {
    const row = this.shown[this.chosen];
    return row ? this.nodes.order.indexOf(row.items[row.folded ? row.items.length - 1 : 0]) : -1;
  }

  walk(step, wanted) {
    const order = this.nodes.order, start = this.here();
    for (let count = 1; count <= order.length; count += 1) {
      const item = order[(start + step * count + order.length * 2) % order.length];
      if (wanted(item)) { this.go(item); return true; }
    }
    return false;
  }

  problem(step) { this.walk(step, (item) => this.nodes.marks[item] !== ""); }

  search(text, step) {
    const wanted = text.toLowerCase();
    if (!wanted) return;
    const found = this.walk(step, (item) => `${this.nodes.ops[item]} ${this.nodes.names[item]} ${this.nodes.labels[item]}`.toLowerCase().includes(wanted));
    if (!found) this.told.textContent = `nothing contains ${text}`;
  }

  click(event) {
    const box = this.box.getBoundingClientRect();
    const at = Math.floor((event.clientY - box.top + this.box.scrollTop) / (this.ROW * this.zoom));
    if (at >= this.shown.length) return;
    if (this.shown[at].scope !== undefined) this.toggle(at); else this.choose(at);
  }

  key(event) {
    const page = Math.floor(this.box.clientHeight / (this.ROW * this.zoom));
    const moves = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 };
    if (event.key in moves) this.choose(this.chosen + moves[event.key]);
    else if (event.key === " " || event.key === "Enter") this.toggle(this.chosen);
    else if (event.key === "n") this.problem(1);
    else if (event.key === "p") this.problem(-1);
    else if (event.key === "+" || event.key === "-") this.scale(event.key === "+" ? 1.2 : 1 / 1.2);
    else if (event.key === "/") document.querySelector("#tools input").focus();
    else return;
    event.preventDefault();
  }
}

/** A line chart as SVG. `points` are [x, y]; `text` writes a y value. */
function chart(points, xName, text, about) {
  const wide = 640, high = 220, left = 90, bottom = 30, ns = "http://www.w3.org/2000/svg";
  const xs = points.map((point) => point[0]), top = Math.max(...points.map((point) => point[1])) * 1.05 || 1;
  const low = Math.min(...xs), span = Math.max(...xs) - low || 1;
  const at = ([x, y]) => [left + ((x - low) / span) * (wide - left - 10), high - bottom - (y / top) * (high - bottom - 10)];
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  svg.setAttribute("width", "640");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", about);
  const put = (tag, attributes, words = "") => {
    const element = document.createElementNS(ns, tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    element.textContent = words;
    svg.append(element);
  };
  for (const share of [0, 0.5, 1]) {
    const y = at([low, top * share])[1];
    put("line", { x1: left, x2: wide - 10, y1: y, y2: y, stroke: "var(--line)" });
    put("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, text(top * share));
  }
  put("polyline", { points: points.map((point) => at(point).join(",")).join(" "), fill: "none", stroke: "var(--note)", "stroke-width": 2 });
  points.forEach((point) => put("circle", { cx: at(point)[0], cy: at(point)[1], r: 2.5, fill: "var(--note)" }));
  put("text", { x: left, y: high - 8 }, `${xName} = ${low}`);
  put("text", { x: wide - 10, y: high - 8, "text-anchor": "end" }, `${xName} = ${low + span}`);
  return svg;
}

function sizeText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0, value = bytes;
  while (value >= 1000 && at < 4) { value /= 1000; at += 1; }
  return `${value >= 100 || at === 0 ? Math.round(value) : value.toPrecision(3)} ${units[at]}`;
}

function numbers() {
  const section = document.getElementById("numbers");
  const memory = data.memory;
  if (memory) {
    section.append(make("h2", {}, "Memory"), make("p", { class: "muted" }, memory.about));
    if (memory.points.length > 1) section.append(chart(memory.points, memory.along, sizeText, memory.about));
    section.append(table(["what", "bytes", ""], memory.rows));
  }
  for (const one of data.tables) {
    const body = [make("p", { class: "muted" }, one.about), table(one.head, one.rows)];
    section.append(...(one.folded ? [make("details", {}, make("summary", {}, one.title), make("div", {}, ...body))] : [make("h2", {}, one.title), ...body]));
  }
  if (data.latency) section.append(chart(data.latency.map((ms, index) => [index + 1, ms]), "run", (ms) => `${ms.toPrecision(3)} ms`, "latency of each run"));
}

header();
const graph = new Graph(data.graph);
findings();
if (data.graph.names.length) graph.mount(document.getElementById("drawing"));
if (data.shapes.length) document.getElementById("shapes").append(make("h2", {}, "Shapes"), table(["dimension", "min", "opt", "max", ""], data.shapes));
numbers();
document.getElementById("environment").append(make("h2", {}, "Environment and how to reproduce"),
  table(["what", "which"], data.environment), make("pre", {}, data.reproduce));
