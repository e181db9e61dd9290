"use strict";
const wsseg = (() => {
  const CARD = { width: 232, height: 196, gap: 12, caption: 24 };
  const KEPT = 600; // images in memory at most
  const SAFE = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499"];
  const RULES = ["#808080", "#56b4e9", "#e69f00", "#d55e00", "#000000", "#cc79a7"];
  const ERRORS = ["missed object", "background labelled as an object", "wrong class", "no label"];
  const LAYERS = { labels: "labels", truth: "truth", errors: "errors", changes: "changes since the stage before", rules: "cleaning rules", none: "image only" };
  const TITLES = { gain: "gain of IoU", iou: "true IoU", estimate: "estimated quality", predicted_iou: "IoU predicted by SAM", stability: "stability of the mask", box_iou: "fit to the annotation", consensus: "consensus of prompts", spread: "undecided share", fallback: "share of refused objects" };
  const state = { stage: 0, layer: "labels", opacity: 0.55, palette: "classes", sort: "", worst: true, given: true, label: "", low: null, high: null, find: "" };
  const loaded = new Map(), waiting = new Map(), cards = new Map();
  const $ = (id) => document.getElementById(id);
  let run = null, order = [], open = -1;

  function start(content) {
    run = content;
    state.stage = run.stages.length - 1;
    const options = run.columns.map((column) => [column.name, TITLES[column.name] || column.name]);
    fill($("sort"), [...options, ["", "name"]]);
    state.sort = options.length ? options[0][0] : "";
    fill($("class"), [["", "any"], ...run.classes.map((each, label) => [String(label), each.name]).slice(1)]);
    fill($("layer"), Object.entries(LAYERS));
    $("stage").max = run.stages.length - 1;
    $("stage").value = state.stage;
    listen();
    choose();
    const asked = run.ids.indexOf(decodeURIComponent(location.hash.slice(1)));
    if (asked >= 0) show(order.indexOf(asked));
  }

  function image(file, content) {
    content.decoded = {};
    loaded.set(file, content);
    while (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
    for (const done of waiting.get(file) || []) done(content);
    waiting.delete(file);
  }

  function load(index, done) {
    const file = run.files[index];
    if (loaded.has(file)) return done(loaded.get(file));
    if (waiting.has(file)) return waiting.get(file).push(done);
    waiting.set(file, [done]);
    const script = document.createElement("script");
    script.src = `images/${file}.js`;
    script.onload = script.onerror = () => script.remove();
    document.head.append(script);
  }

  // ---- selection and order of the images

  function value(index) {
    const column = run.columns.find((each) => each.name === state.sort);
    const values = column && column.values[run.stages[state.stage]];
    return values ? values[index] : null;
  }

  function choose() {
    const column = run.columns.find((each) => each.name === state.sort);
    const bounded = state.low !== null || state.high !== null;
    const wanted = state.find.toLowerCase();
    order = run.ids.map((_, index) => index).filter((index) => {
      const at = value(index);
      const inside = !bounded || (at !== null && at >= (state.low ?? -Infinity) && at <= (state.high ?? Infinity));
      return inside && (!state.label || run.shows[index].includes(+state.label)) && run.ids[index].toLowerCase().includes(wanted);
    });
    if (column) {
      const sign = (state.worst ? 1 : -1) * column.good;
      const rank = (index) => { const at = value(index); return at === null ? Infinity : sign * at; };
      order.sort((a, b) => rank(a) - rank(b) || a - b);
    } else if (!state.worst) order.reverse();
    $("count").textContent = `${order.length} of ${run.ids.length} images`;
    $("stage-name").textContent = run.stages[state.stage];
    $("worst").textContent = column ? (state.worst ? "worst first" : "best first") : (state.worst ? "first to last" : "last to first");
    $("worst").setAttribute("aria-pressed", state.worst);
    refresh();
  }

  // ---- the grid: only cards in view exist

  function refresh() {
    for (const card of cards.values()) card.remove();
    cards.clear();
    lay();
    if (open >= 0) draw();
  }

  function lay() {
    const grid = $("grid");
    const across = Math.max(1, Math.floor((grid.clientWidth + CARD.gap) / (CARD.width + CARD.gap)));
    const height = CARD.height + CARD.gap;
    grid.style.height = `${Math.ceil(order.length / across) * height}px`;
    const top = -grid.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - 1) * across;
    const last = Math.min(order.length, (Math.ceil((top + innerHeight) / height) + 1) * across);
    for (const [place, card] of cards) if (place < first || place >= last) { card.remove(); cards.delete(place); }
    for (let place = first; place < last; place++) {
      if (!cards.has(place)) { cards.set(place, made(place)); grid.append(cards.get(place)); }
      const { style } = cards.get(place);
      style.left = `${(place % across) * (CARD.width + CARD.gap)}px`;
      style.top = `${Math.floor(place / across) * height}px`;
    }
  }

  function made(place) {
    const index = order[place], card = element("button", "image"), at = value(index);
    card.style.width = `${CARD.width}px`;
    card.dataset.place = place;
    card.title = run.ids[index];
    card.onclick = () => show(place);
    const frame = element("div", "frame"), what = element("div", "what");
    frame.style.height = `${CARD.height - CARD.caption}px`;
    what.append(text("span", run.ids[index]), text("span", at === null ? "" : at.toFixed(3)));
    card.append(frame, what);
    load(index, (content) => frame.append(layers(content, CARD.width, CARD.height - CARD.caption, state.stage, state.layer)));
    return card;
  }

  // ---- figures

  function layers(content, width, height, stage, layer) {
    const [h, w] = content.size, factor = Math.min(width / w, height / h);
    const box = element("div", "layers"), photo = element("img"), canvas = element("canvas");
    box.style.width = `${w * factor}px`;
    box.style.height = `${h * factor}px`;
    photo.src = content.photo;
    photo.alt = "";
    canvas.width = w;
    canvas.height = h;
    const pixels = canvas.getContext("2d").createImageData(w, h);
    paint(pixels, content, stage, layer);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    if (state.given) outline(canvas.getContext("2d"), content);
    box.append(photo, canvas);
    return box;
  }

  function outline(context, content) {
    const [h, w] = content.size;
    for (const [label, left, top, right, bottom] of content.boxes) {
      for (const [width, colour] of [[3, "#ffffff"], [1.4, hue(label)]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.strokeRect(left * w + 1, top * h + 1, (right - left) * w - 2, (bottom - top) * h - 2);
      }
    }
  }

  function map(content, kind, stage = "") {
    const coded = stage === "" ? content[kind] : content[kind][run.stages[stage]];
    if (!coded) return null;
    const key = `${kind} ${stage}`;
    return (content.decoded[key] ??= decode(coded, content.size[0] * content.size[1]));
  }

  function decode(coded, count) {
    const bytes = atob(coded), found = new Uint8Array(count);
    for (let at = 0, end = 0; at < bytes.length; ) {
      const label = bytes.charCodeAt(at++);
      let length = 0, shift = 0, byte = 0x80;
      while (byte & 0x80) { byte = bytes.charCodeAt(at++); length |= (byte & 0x7f) << shift; shift += 7; }
      found.fill(label, end, (end += length));
    }
    return found;
  }

  function paint(pixels, content, stage, layer) {
    const labels = map(content, "maps", stage), truth = map(content, "truth"), before = stage > 0 ? map(content, "maps", stage - 1) : null;
    const [h, w] = content.size, marks = state.given ? map(content, "marks") : null;
    const shown = { labels, truth, rules: map(content, "rules", stage) }[layer];
    for (let at = 0; at < h * w; at++) {
      const striped = (Math.floor(at / w) + (at % w)) % 8 < 4;
      let colour = null;
      if (layer === "labels" || layer === "truth") colour = shown && ofLabel(shown[at], striped);
      else if (layer === "rules") colour = shown && shown[at] ? rgb(RULES[shown[at]]) : null;
      else if (layer === "errors") colour = labels && truth && ofError(labels[at], truth[at], striped);
      else if (layer === "changes") colour = labels && before && labels[at] !== before[at] ? ofLabel(labels[at], striped) || rgb("#ffffff") : null;
      if (marks && marks[at] !== run.ignore.label) { pixels.data.set([...rgb(marks[at] ? hue(marks[at]) : "#ffffff"), 255], 4 * at); continue; }
      if (!colour) continue;
      const edge = shown && ((at % w < w - 1 && shown[at] !== shown[at + 1]) || (at + w < h * w && shown[at] !== shown[at + w]));
      pixels.data.set([...colour, 255 * (edge ? Math.min(1, state.opacity * 1.8) : state.opacity)], 4 * at);
    }
  }

  function ofLabel(label, striped) {
    if (label === run.ignore.label) return striped ? rgb(run.ignore.colour) : [90, 90, 90];
    return label ? rgb(hue(label)) : null;
  }

  function ofError(label, truth, striped) {
    const kind = error(label, truth);
    return kind < 0 ? null : kind === 3 ? (striped ? rgb(run.ignore.colour) : [90, 90, 90]) : rgb(SAFE[[3, 0, 4][kind]]);
  }

  function error(label, truth) {
    if (truth === run.ignore.label || label === truth) return -1;
    if (label === run.ignore.label) return 3;
    return label === 0 ? 0 : truth === 0 ? 1 : 2;
  }

  const hue = (label) => (state.palette === "safe" ? SAFE[(label - 1) % SAFE.length] : run.classes[label].colour);
  const known = new Map();
  function rgb(colour) {
    if (!known.has(colour)) known.set(colour, [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
    return known.get(colour);
  }

  // ---- one image

  function show(place) {
    if (place < 0 || place >= order.length) return;
    open = place;
    history.replaceState(null, "", `#${encodeURIComponent(run.ids[order[place]])}`);
    if (!$("detail").open) $("detail").showModal();
    draw();
  }

  function draw() {
    if (open >= order.length) return $("detail").close();
    const index = order[open];
    $("detail-name").textContent = `${run.ids[index]} (${open + 1} of ${order.length})`;
    load(index, (content) => {
      if (order[open] !== index) return;
      const large = $("large");
      large.replaceChildren(layers(content, large.clientWidth, innerHeight * 0.55, state.stage, state.layer));
      $("rows").replaceChildren(...table(content));
      $("legend").replaceChildren(...legend(content));
      $("candidates").hidden = !content.candidates;
      if (content.candidates) $("candidates").querySelector("img").src = content.candidates;
      $("strip").replaceChildren(...run.stages.map((name, stage) => step(content, index, name, stage)));
    });
  }

  function step(content, index, name, stage) {
    const button = element("button"), caption = element("div", "faint");
    button.setAttribute("aria-pressed", stage === state.stage);
    button.append(layers(content, 160, 130, stage, state.layer), text("b", name), caption);
    button.onclick = () => go(stage);
    const figures = run.columns.slice(0, 2).map((column) => [column, (column.values[name] || [])[index]]);
    caption.textContent = [...figures.filter(([, at]) => at != null).map(([column, at]) => `${TITLES[column.name] || column.name} ${at.toFixed(3)}`), ...changed(content, stage)].join(" · ");
    return button;
  }

  function changed(content, stage) {
    const rules = map(content, "rules", stage);
    if (!rules) return [];
    const counts = run.rules.map((_, rule) => rules.reduce((sum, each) => sum + (each === rule), 0) / rules.length);
    return run.rules.map((name, rule) => [name, counts[rule]]).slice(1).filter(([, share]) => share >= 0.0005).map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
  }

  function table(content) {
    const rows = content.rows[run.stages[state.stage]] || [];
    if (!rows.length) return [text("caption", "This stage has no signals.")];
    const names = run.columns.map((column) => column.name).filter((name) => rows.some((row) => name in row));
    const head = element("tr");
    head.append(text("th", run.stages[state.stage]), ...rows.map((row) => text("th", run.classes[row.class].name)));
    return [head, ...names.map((name) => {
      const line = element("tr");
      line.append(text("td", TITLES[name] || name), ...rows.map((row) => text("td", name in row ? row[name].toFixed(3) : "–")));
      return line;
    })];
  }

  function legend(content) {
    if (state.layer === "rules") return run.rules.map((name, rule) => chip(RULES[rule], name)).slice(1);
    if (state.layer === "errors") return ERRORS.map((name, kind) => chip(kind === 3 ? run.ignore.colour : SAFE[[3, 0, 4][kind]], name));
    const labels = new Set((state.layer === "truth" ? map(content, "truth") : map(content, "maps", state.stage)) || []);
    labels.delete(0);
    return [...labels].sort((a, b) => a - b).map((label) => label === run.ignore.label ? chip(run.ignore.colour, "no label") : chip(hue(label), run.classes[label].name));
  }

  function chip(colour, name) {
    const item = element("li"), mark = element("span", "chip");
    mark.style.background = colour;
    item.append(mark, name);
    return item;
  }

  // ---- controls

  function go(stage) {
    state.stage = Math.min(Math.max(stage, 0), run.stages.length - 1);
    $("stage").value = state.stage;
    const image = order[open];
    choose();
    if (open >= 0) show(order.indexOf(image));
  }

  function set(name, value) {
    state[name] = value;
    if ($(name)) $(name).value = value;
    refresh();
  }

  function listen() {
    const number = (id) => ($(id).value === "" ? null : +$(id).value);
    $("sort").onchange = () => { state.sort = $("sort").value; $("low").value = $("high").value = ""; state.low = state.high = null; choose(); };
    $("worst").onclick = () => { state.worst = !state.worst; choose(); };
    for (const id of ["low", "high"]) $(id).oninput = () => { state[id] = number(id); choose(); };
    $("class").onchange = () => { state.label = $("class").value; choose(); };
    $("find").oninput = () => { state.find = $("find").value; choose(); };
    $("stage").oninput = () => go(+$("stage").value);
    $("layer").onchange = () => set("layer", $("layer").value);
    $("opacity").oninput = () => set("opacity", +$("opacity").value);
    $("given").onchange = () => { state.given = $("given").checked; refresh(); };
    $("palette").onchange = () => set("palette", $("palette").value);
    $("before").onclick = () => show(open - 1);
    $("after").onclick = () => show(open + 1);
    $("close").onclick = () => $("detail").close();
    $("detail").onclose = () => { open = -1; history.replaceState(null, "", location.pathname + location.search); };
    addEventListener("scroll", lay, { passive: true });
    addEventListener("resize", () => { lay(); if (open >= 0) draw(); });
    addEventListener("keydown", pressed);
  }

  function pressed(event) {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { l: "labels", t: "truth", e: "errors", c: "changes", r: "rules" };
    const layer = keys[event.key.toLowerCase()];
    if (event.key.toLowerCase() === "a") $("given").click();
    else if (layer) set("layer", state.layer === layer ? "labels" : layer);
    else if (event.key === "+" || event.key === "-") set("opacity", Math.min(1, Math.max(0, state.opacity + (event.key === "+" ? 0.1 : -0.1))));
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") { if (open < 0) return; go(state.stage + (event.key === "ArrowUp" ? 1 : -1)); }
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") move(event.key === "ArrowRight" ? 1 : -1);
    else return;
    event.preventDefault();
  }

  function move(by) {
    if (open >= 0) return show(open + by);
    const focused = document.activeElement.dataset.place;
    const card = cards.get(focused === undefined ? 0 : +focused + by);
    if (card) card.focus();
  }

  // ---- elements

  function element(name, kind = "") {
    const made = document.createElement(name);
    made.className = kind;
    return made;
  }

  function text(name, words) {
    const made = element(name);
    made.textContent = words;
    return made;
  }

  function fill(select, options) {
    select.replaceChildren(...options.map(([value, title]) => { const made = text("option", title); made.value = value; return made; }));
  }

  return { start, image };
})();
