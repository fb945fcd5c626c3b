// SPDX-License-Identifier: Apache-2.0
// A line chart in SVG: axes linear or logarithmic, wheel zoom, drag to move, double click to reset, nearest point on hover.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 62, right: 14, top: 10, bottom: 40 };

function svgElement(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.appendChild(element);
  return element;
}

function niceTicks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) || 10);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function logTicks(low, high) {
  // low and high are base-10 logarithms; at most nine marks for each decade
  const ticks = [];
  const dense = high - low < 2.2;
  for (let decade = Math.floor(low); decade <= Math.ceil(high); decade++) {
    for (const m of dense ? [1, 2, 3, 5, 7] : [1]) {
      const at = decade + Math.log10(m);
      if (at >= low && at <= high) ticks.push(at);
    }
  }
  return ticks.length > 1 ? ticks : niceTicks(low, high, 5);
}

function shortNumber(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return (value / 1e6).toPrecision(3).replace(/\.?0+$/, "") + "M";
  if (size >= 1e4) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(size < 1 ? 2 : 4)));
}

class Chart {
  // options: {xLabel, yLabel, xLog, series: [{label, colour, dashed, marks, text, points: [{x, y, tip, data}]}], onPick}
  constructor(svg, tip) {
    this.svg = svg;
    this.tip = tip;
    this.view = null; // null: everything; else {x0, x1, y0, y1} in axis units (logarithms where xLog)
    this.options = { series: [] };
    svg.addEventListener("wheel", (event) => this.zoom(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    svg.addEventListener("pointerup", (event) => this.release(event));
    svg.addEventListener("pointerleave", () => { if (!this.grip) this.tip.hidden = true; });
    svg.addEventListener("dblclick", () => { this.view = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  show(options, keepView) {
    this.options = options;
    if (!keepView) this.view = null;
    this.draw();
  }

  axis(x) { return this.options.xLog ? Math.log10(x) : x; }

  extent() {
    const xs = [], ys = [];
    for (const series of this.options.series) {
      for (const p of series.points) { xs.push(this.axis(p.x)); ys.push(p.y); }
    }
    if (!xs.length) return { x0: 0, x1: 1, y0: 0, y1: 1 };
    const min = (v) => v.reduce((a, b) => Math.min(a, b)), max = (v) => v.reduce((a, b) => Math.max(a, b));
    const pad = (low, high) => { const d = (high - low || Math.abs(high) || 1) * 0.05; return [low - d, high + d]; };
    let [x0, x1] = pad(min(xs), max(xs));
    let [y0, y1] = pad(min(ys), max(ys));
    if (this.options.yZero) { y0 = Math.min(0, y0); y1 = Math.max(0, y1); }
    if (!this.options.xLog && min(xs) >= 0) x0 = Math.max(0, x0);
    return { x0, x1, y0, y1 };
  }

  geometry() {
    const box = this.svg.getBoundingClientRect();
    const width = Math.max(120, box.width), height = Math.max(90, box.height);
    const view = this.view || this.extent();
    const w = width - MARGIN.left - MARGIN.right, h = height - MARGIN.top - MARGIN.bottom;
    return {
      width, height, view, w, h,
      px: (x) => MARGIN.left + ((x - view.x0) / (view.x1 - view.x0)) * w,
      py: (y) => MARGIN.top + (1 - (y - view.y0) / (view.y1 - view.y0)) * h,
    };
  }

  draw() {
    const svg = this.svg, g = this.geometry(), o = this.options;
    svg.setAttribute("viewBox", `0 0 ${g.width} ${g.height}`);
    svg.replaceChildren();
    this.spots = [];
    const clip = svgElement("clipPath", { id: svg.id + "-clip" }, svgElement("defs", {}, svg));
    svgElement("rect", { x: MARGIN.left, y: MARGIN.top, width: g.w, height: g.h }, clip);
    this.drawAxes(g);
    const body = svgElement("g", { "clip-path": `url(#${svg.id}-clip)` }, svg);
    for (const series of o.series) this.drawSeries(series, g, body);
    svgElement("rect", { class: "frame", x: MARGIN.left, y: MARGIN.top, width: g.w, height: g.h }, svg);
    svg.dataset.view = [g.view.x0, g.view.x1, g.view.y0, g.view.y1].map((v) => v.toPrecision(6)).join(" ");
  }

  drawAxes(g) {
    const o = this.options, svg = this.svg;
    const xTicks = o.xLog ? logTicks(g.view.x0, g.view.x1) : niceTicks(g.view.x0, g.view.x1, 6);
    for (const t of xTicks) {
      const x = g.px(t);
      svgElement("line", { class: "grid", x1: x, x2: x, y1: MARGIN.top, y2: MARGIN.top + g.h }, svg);
      svgElement("text", { x, y: g.height - 22, "text-anchor": "middle" }, svg).textContent =
        shortNumber(o.xLog ? 10 ** t : t);
    }
    for (const t of niceTicks(g.view.y0, g.view.y1, 6)) {
      const y = g.py(t);
      svgElement("line", { class: "grid", x1: MARGIN.left, x2: MARGIN.left + g.w, y1: y, y2: y }, svg);
      svgElement("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, svg).textContent = shortNumber(t);
    }
    svgElement("text", { class: "title", x: MARGIN.left + g.w / 2, y: g.height - 5, "text-anchor": "middle" }, svg)
      .textContent = o.xLabel || "";
    const up = svgElement("text", { class: "title", "text-anchor": "middle",
      transform: `translate(13 ${MARGIN.top + g.h / 2}) rotate(-90)` }, svg);
    up.textContent = o.yLabel || "";
  }

  drawSeries(series, g, parent) {
    const at = series.points.map((p) => [g.px(this.axis(p.x)), g.py(p.y), p]);
    if (!series.loose && at.length > 1) {
      svgElement("path", { class: "line", stroke: series.colour, "stroke-dasharray": series.dashed ? "7 5" : "none",
        "data-label": series.label, d: "M" + at.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L") }, parent);
    }
    for (const [x, y, point] of at) {
      this.spots.push({ x, y, point, series });
      if (series.marks !== false) {
        svgElement("circle", { class: "mark", cx: x, cy: y, r: series.loose ? 6 : 4, fill: series.colour,
          "data-label": series.label, "data-y": point.y }, parent);
      }
      if (series.text) {
        const right = x > g.width * 0.7;
        svgElement("text", { x: right ? x - 10 : x + 10, y: y + 4, "text-anchor": right ? "end" : "start" }, parent)
          .textContent = series.text;
      }
    }
  }

  position(event) {
    const box = this.svg.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  zoom(event) {
    event.preventDefault();
    const g = this.geometry(), [x, y] = this.position(event), v = g.view;
    const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / 400)));
    const cx = v.x0 + ((x - MARGIN.left) / g.w) * (v.x1 - v.x0), cy = v.y1 - ((y - MARGIN.top) / g.h) * (v.y1 - v.y0);
    this.view = { x0: cx + (v.x0 - cx) * factor, x1: cx + (v.x1 - cx) * factor,
      y0: cy + (v.y0 - cy) * factor, y1: cy + (v.y1 - cy) * factor };
    this.draw();
  }

  press(event) {
    this.grip = { at: this.position(event), view: this.geometry().view, moved: false };
    this.svg.setPointerCapture(event.pointerId);
  }

  move(event) {
    const [x, y] = this.position(event);
    if (this.grip) {
      const dx = x - this.grip.at[0], dy = y - this.grip.at[1], v = this.grip.view, g = this.geometry();
      if (Math.abs(dx) + Math.abs(dy) > 4) this.grip.moved = true;
      if (!this.grip.moved) return;
      const sx = (dx / g.w) * (v.x1 - v.x0), sy = (dy / g.h) * (v.y1 - v.y0);
      this.view = { x0: v.x0 - sx, x1: v.x1 - sx, y0: v.y0 + sy, y1: v.y1 + sy };
      this.draw();
      return;
    }
    const spot = this.nearest(x, y);
    this.tip.hidden = !spot;
    if (!spot) return;
    this.tip.textContent = spot.point.tip || "";
    const width = this.tip.offsetWidth;
    this.tip.style.left = Math.min(event.clientX + 14, window.innerWidth - width - 8) + "px";
    this.tip.style.top = event.clientY + 14 + "px";
  }

  release(event) {
    const grip = this.grip;
    this.grip = null;
    if (!grip || grip.moved || !this.options.onPick) return;
    const spot = this.nearest(...this.position(event));
    if (spot) this.options.onPick(spot.point.data);
  }

  nearest(x, y) {
    let best = null, distance = 18;
    for (const spot of this.spots || []) {
      const d = Math.hypot(spot.x - x, spot.y - y);
      if (d < distance) { best = spot; distance = d; }
    }
    return best;
  }
}
