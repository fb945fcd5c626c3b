// SPDX-License-Identifier: Apache-2.0
// Up to three pictures of one frame under two draggable dividers, with zoom, panning and frame stepping.
"use strict";

const MAX_ZOOM = 32;

class Viewer {
  // pictures: clip name -> {width, height, frames: ["0", ...], sources: [{label, own, images: {frame: data URI}}]};
  // the first source of a clip is its original.
  constructor(pictures) {
    this.pictures = pictures;
    this.box = document.getElementById("viewer");
    this.sides = ["a", "b", "c"].map((side) => ({
      layer: document.getElementById("layer-" + side),
      image: document.querySelector(`#layer-${side} img`),
      tag: document.getElementById("tag-" + side),
      select: document.getElementById("view-" + side),
    }));
    this.dividers = [1, 2].map((n) => document.getElementById("divider-" + n));
    this.cuts = [1 / 3, 2 / 3];
    this.state = { zoom: 1, x: 0, y: 0, frame: 0 };
    this.listen();
  }

  listen() {
    const on = (id, type, action) => document.getElementById(id).addEventListener(type, action);
    const clip = document.getElementById("view-clip");
    clip.replaceChildren(...Object.keys(this.pictures).map((name) => new Option(name, name)));
    clip.addEventListener("change", () => this.chooseClip(clip.value));
    for (const side of this.sides) side.select.addEventListener("change", () => this.draw());
    on("frame-back", "click", () => this.step(-1));
    on("frame-forward", "click", () => this.step(1));
    on("zoom-in", "click", () => this.zoomAt(2));
    on("zoom-out", "click", () => this.zoomAt(1 / 2));
    on("zoom-fit", "click", () => this.fit());
    this.box.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = this.box.getBoundingClientRect();
      this.zoomAt(Math.exp(-Math.max(-1, Math.min(1, event.deltaY / 300))), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.dragging(this.box, (dx, dy) => { this.state.x += dx; this.state.y += dy; this.draw(); });
    this.dividers.forEach((divider, i) => {
      this.dragging(divider, (dx) => this.cut(i, this.cuts[i] + dx / this.box.clientWidth));
      divider.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -0.01, ArrowRight: 0.01 }[event.key];
        if (step) { event.stopPropagation(); event.preventDefault(); this.cut(i, this.cuts[i] + step); }
      });
    });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  dragging(element, moved) {
    let last = null;
    element.addEventListener("pointerdown", (event) => {
      if (event.target !== element && event.target.classList.contains("divider")) return;
      event.stopPropagation();
      last = [event.clientX, event.clientY];
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      if (!last) return;
      moved(event.clientX - last[0], event.clientY - last[1]);
      last = [event.clientX, event.clientY];
    });
    for (const type of ["pointerup", "pointercancel"]) element.addEventListener(type, () => { last = null; });
  }

  key(event) {
    const actions = { ",": () => this.step(-1), ".": () => this.step(1), "+": () => this.zoomAt(2), "=": () => this.zoomAt(2),
      "-": () => this.zoomAt(1 / 2), "0": () => this.fit(), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1) };
    const action = actions[event.key];
    if (action) { event.preventDefault(); action(); }
  }

  chooseClip(name) {
    this.clip = this.pictures[name];
    const sources = this.clip.sources;
    this.sides.forEach((side, i) => {
      const options = sources.map((s, n) => new Option(s.label, n));
      if (i > 0) options.unshift(new Option("nothing", ""));
      side.select.replaceChildren(...options);
    });
    // original, ours, and the other codec nearest to ours in rate
    const own = Math.max(1, sources.findIndex((s) => s.own));
    const others = sources.map((s, n) => n).filter((n) => n > 0 && n !== own && !sources[n].own);
    const gap = (n) => Math.abs(Math.log(sources[n].nbytes / sources[own].nbytes));
    const anchor = own < sources.length ? others.sort((a, b) => gap(a) - gap(b))[0] : undefined;
    this.sides[0].select.value = "0";
    this.sides[1].select.value = own < sources.length ? String(own) : "";
    this.sides[2].select.value = anchor === undefined ? "" : String(anchor);
    this.state.frame = 0;
    this.fit();
  }

  step(by) {
    const count = this.clip.frames.length;
    this.state.frame = (this.state.frame + by + count) % count;
    this.draw();
  }

  fit() {
    const { clientWidth: w, clientHeight: h } = this.box;
    const zoom = Math.min(w / this.clip.width, h / this.clip.height) || 1;
    Object.assign(this.state, { zoom, x: (w - this.clip.width * zoom) / 2, y: (h - this.clip.height * zoom) / 2 });
    this.draw();
  }

  zoomAt(factor, x, y) {
    const s = this.state;
    if (x === undefined) { x = this.box.clientWidth / 2; y = this.box.clientHeight / 2; }
    const zoom = Math.min(MAX_ZOOM, Math.max(0.05, s.zoom * factor));
    s.x = x - ((x - s.x) * zoom) / s.zoom;
    s.y = y - ((y - s.y) * zoom) / s.zoom;
    s.zoom = zoom;
    this.draw();
  }

  cut(i, to) {
    const low = i === 0 ? 0 : this.cuts[0], high = i === 0 ? (this.dividers[1].hidden ? 1 : this.cuts[1]) : 1;
    this.cuts[i] = Math.min(high, Math.max(low, to));
    this.draw();
  }

  draw() {
    if (!this.clip) return;
    const frame = this.clip.frames[this.state.frame], s = this.state;
    const chosen = this.sides.map((side) => (side.select.value === "" ? null : this.clip.sources[Number(side.select.value)]));
    const edges = [0, chosen[1] || chosen[2] ? this.cuts[0] : 1, chosen[1] && chosen[2] ? this.cuts[1] : 1, 1];
    if (!chosen[1] && chosen[2]) edges[2] = edges[1];
    const width = this.box.clientWidth;
    this.sides.forEach((side, i) => {
      const source = chosen[i], [left, right] = [edges[i], edges[i + 1]];
      side.layer.hidden = side.tag.hidden = !source;
      if (!source) return;
      if (side.image.getAttribute("src") !== source.images[frame]) side.image.src = source.images[frame];
      side.image.style.width = this.clip.width + "px";
      side.image.style.transform = `translate(${s.x}px, ${s.y}px) scale(${s.zoom})`;
      side.image.classList.toggle("sharp", s.zoom >= 2);
      side.layer.style.clipPath = `inset(0 ${((1 - right) * 100).toFixed(3)}% 0 ${(left * 100).toFixed(3)}%)`;
      side.tag.textContent = source.label;
      if (i === 0) side.tag.style.left = "8px";
      else if (i === 2) side.tag.style.right = "8px";
      else side.tag.style.left = left * width + 14 + "px";
    });
    const shown = [Boolean(chosen[1] || chosen[2]), Boolean(chosen[1] && chosen[2])];
    this.dividers.forEach((divider, i) => {
      divider.hidden = !shown[i];
      divider.style.left = this.cuts[i] * 100 + "%";
      divider.setAttribute("aria-valuenow", Math.round(this.cuts[i] * 100));
    });
    document.getElementById("frame-number").value = "frame " + frame;
    document.getElementById("zoom-factor").value = Math.round(s.zoom * 100) + "%";
    Object.assign(this.box.dataset, { frame, zoom: s.zoom.toFixed(4), x: s.x.toFixed(1), y: s.y.toFixed(1),
      cuts: this.cuts.map((c) => c.toFixed(4)).join(" ") });
  }
}
