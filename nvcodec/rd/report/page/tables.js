// SPDX-License-Identifier: Apache-2.0
// BD-rate matrix, detail against the anchor, and the tables of how it was measured.
"use strict";

function node(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") element.className = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

function signed(value, digits) {
  return (value > 0 ? "+" : "") + value.toFixed(digits);
}

class Reasons {
  constructor(list) { this.list = list; this.lines = []; }
  mark(reason) {
    if (!this.lines.includes(reason)) this.lines.push(reason);
    return `[${this.lines.indexOf(reason) + 1}]`;
  }
  show() { this.list.replaceChildren(...this.lines.map((line, i) => node("li", {}, `[${i + 1}] ${line}`))); }
}

class Tables {
  constructor(report, pickAnchor) {
    this.report = report;
    this.pickAnchor = pickAnchor;
    this.labels = report.codecs.map((c) => c.label);
  }

  // One table cell for [BD-rate, Akima, BD quality, overlap, what was left out] or a reason in words.
  cell(value, reasons, attributes) {
    if (value === null) return node("td", attributes, "");
    if (typeof value === "string") {
      return node("td", { ...attributes, class: "refused " + (attributes.class || ""), title: value }, reasons.mark(value));
    }
    const [rate, akima, quality, overlap, leftOut] = value;
    const flagged = overlap < this.report.minOverlap;
    const title = `PCHIP ${signed(rate, 2)} %, Akima ${signed(akima, 2)} %` +
      (quality === null ? "" : `, BD quality ${signed(quality, 3)}`) + `, overlap ${Math.round(overlap * 100)} %`;
    const text = signed(rate, 1) + (flagged ? "*" : "") + (leftOut ? " " + reasons.mark(leftOut) : "");
    return node("td", { ...attributes, class: (flagged ? "flag " : "") + (attributes.class || ""), title,
      "data-value": rate }, text);
  }

  anchorButton(label) {
    const button = node("button", { type: "button", title: "make this the anchor" }, label);
    button.addEventListener("click", () => this.pickAnchor(label));
    return button;
  }

  drawMatrix(state) {
    const matrix = this.report.bd[state.metric][state.bdScope];
    const reasons = new Reasons(document.getElementById("reasons"));
    const chosen = this.labels.indexOf(state.anchor);
    const head = node("tr", {}, node("th", { scope: "row" }, "codec / anchor"),
      ...this.labels.map((label, i) => node("th", { class: i === chosen ? "chosen" : "" }, this.anchorButton(label))));
    const rows = this.labels.map((label, codec) => node("tr", {}, node("th", { scope: "row" }, label),
      ...this.labels.map((_, anchor) => this.cell(matrix[anchor][codec], reasons,
        { class: anchor === chosen ? "chosen" : "", "data-codec": label, "data-anchor": this.labels[anchor] }))));
    document.getElementById("matrix").replaceChildren(node("thead", {}, head), node("tbody", {}, ...rows));
    document.getElementById("matrix-note").textContent =
      `${state.scopeTitle}, ${state.metricLabel}. PCHIP on log rate, %: what the row needs against the column at equal ` +
      `quality, negative is fewer bits. * overlap of the quality ranges below ${Math.round(this.report.minOverlap * 100)} %.`;
    this.drawDetail(state, chosen, reasons);
    reasons.show();
  }

  drawDetail(state, anchor, reasons) {
    const bd = this.report.bd[state.metric], set = state.set;
    const columns = [...set.clips.map((clip) => ["clip/" + clip, clip]),
      [`set/${set.name}/mean`, "mean of clips"], [`set/${set.name}/curve`, "curve of means"]];
    document.getElementById("detail-title").textContent = `${set.title}, against ${state.anchor}`;
    const head = node("tr", {}, node("th", { scope: "row" }, "codec"), ...columns.map(([, title]) => node("th", {}, title)));
    const rows = this.labels.map((label, codec) => codec === anchor ? null :
      node("tr", {}, node("th", { scope: "row" }, label),
        ...columns.map(([scope]) => this.cell(bd[scope][anchor][codec], reasons, { "data-codec": label, "data-scope": scope }))));
    document.getElementById("detail").replaceChildren(node("thead", {}, head), node("tbody", {}, ...rows.filter(Boolean)));
  }

  drawFixed() {
    const r = this.report, get = (id) => document.getElementById(id);
    const fill = (id, head, rows, texts) => get(id).replaceChildren(
      node("thead", {}, node("tr", {}, ...head.map((h) => node("th", {}, h)))),
      node("tbody", {}, ...rows.map((row) => node("tr", {}, ...row.map((cell, i) =>
        node("td", { class: texts.includes(i) ? "text" : "" }, cell))))));
    fill("codecs", ["codec", "profile", "version"], r.codecs.map((c) => [c.label, c.profile, c.version]), [0, 1, 2]);
    fill("clips", ["clip", "size", "frames", "Hz", "converted"],
      Object.entries(r.clips).map(([n, c]) => [n, `${c.width}×${c.height}`, String(c.frames), c.rate, c.notes.join("; ")]), [0, 4]);
    fill("published", ["result", "data set", "BD-rate %", "against", "points", "source"],
      r.publishedRows.map((p) => [p.label, p.dataset, p.bd_rate, p.anchor, p.points, p.source]), [0, 1, 3, 5]);
    get("published").hidden = !r.publishedRows.length;
    get("refused").replaceChildren(...r.refused.map((line) => node("li", {}, "not shown: " + line)));
    get("published-section").hidden = !r.publishedRows.length && !r.refused.length;
    get("failures").replaceChildren(...r.failures.map((f) =>
      node("li", {}, `failed: ${f.codec} on ${f.clip} at ${f.quality}: ${f.error}`)));
  }
}
