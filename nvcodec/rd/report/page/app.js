// SPDX-License-Identifier: Apache-2.0
// Puts the page together: what is selected, and what each part draws for it.
"use strict";

const report = JSON.parse(document.getElementById("report-data").textContent);
const byId = (id) => document.getElementById(id);
const tip = byId("tip");
const charts = Object.fromEntries(["curves", "speed", "frame-quality", "frame-size"].map((id) => [id, new Chart(byId(id), tip)]));
const hiddenCodecs = new Set();
const tables = new Tables(report, (label) => { byId("anchor").value = label; update(); });

function metricInfo() { return report.metrics.find((m) => m.name === byId("metric").value); }

function selection() {
  const scope = byId("scope").value, metric = metricInfo();
  const clip = scope.startsWith("clip/") ? scope.slice(5) : null;
  const set = clip ? report.sets.find((s) => s.clips.includes(clip)) : report.sets.find((s) => "set/" + s.name === scope);
  const average = byId("average").value;
  const averageTitle = byId("average").selectedOptions[0].textContent;
  return { clip, set, metric: metric.name, metricLabel: metric.label, digits: metric.digits, anchor: byId("anchor").value,
    rate: byId("rate").value, log: byId("log").checked,
    bdScope: clip ? scope : `set/${set.name}/${average}`,
    scopeTitle: clip ? clip : `${set.title}, ${averageTitle}` };
}

function rateLabel(rate) { return rate === "bpp" ? "rate (bit per pixel)" : "rate (kbit/s)"; }
function rateUnit(rate) { return rate === "bpp" ? "bpp" : "kbit/s"; }

function pointTip(codec, point, s) {
  return `${codec.label}, ${point.quality}\n${metricInfo().label}: ${point.metrics[s.metric].toFixed(s.digits)}\n` +
    `${shortNumber(point.bpp)} bpp, ${shortNumber(point.kbps)} kbit/s, ${point.nbytes.toLocaleString("en-US")} bytes\n` +
    `encoded in ${shortNumber(point.encode)} s, decoded in ${shortNumber(point.decode)} s`;
}

function curveSeries(s) {
  const series = [];
  report.codecs.forEach((codec, index) => {
    if (hiddenCodecs.has(codec.label)) return;
    let points = [];
    if (s.clip) {
      points = (codec.curves[s.clip] || []).map((p, i) => [p, i]).filter(([p]) => s.metric in p.metrics)
        .map(([p, i]) => ({ x: p[s.rate], y: p.metrics[s.metric], tip: pointTip(codec, p, s), data: { codec, index: i, clip: s.clip } }));
    } else {
      const means = report.means[s.set.name][index][s.metric];
      if (Array.isArray(means)) {
        points = means.map(([bpp, kbps, quality]) => ({ x: s.rate === "bpp" ? bpp : kbps, y: quality,
          tip: `${codec.label}, mean of ${s.set.clips.length} clips\n${metricInfo().label}: ${quality.toFixed(s.digits)}\n` +
            `${shortNumber(bpp)} bpp, ${shortNumber(kbps)} kbit/s` }));
      }
    }
    if (points.length) series.push({ label: codec.label, colour: codec.colour, points });
  });
  const wanted = s.clip ? [s.clip] : s.set.clips;
  for (const line of report.published) {
    if (hiddenCodecs.has(line.label) || line.metric !== s.metric || line.single !== Boolean(s.clip)) continue;
    if ([...line.clips].sort().join("\n") !== [...wanted].sort().join("\n")) continue;
    series.push({ label: line.label, colour: line.colour, dashed: true, points: line.points.map(([bpp, kbps, quality]) => ({
      x: s.rate === "bpp" ? bpp : kbps, y: quality,
      tip: `${line.label}\n${quality} at ${shortNumber(bpp)} bpp\n${line.citation}` })) });
  }
  return series;
}

function drawCurves(s, keepView) {
  charts.curves.show({ xLabel: rateLabel(s.rate), yLabel: s.metricLabel, xLog: s.log, series: curveSeries(s), onPick: pick }, keepView);
}

function pick(data) {
  if (!data) return;
  const point = data.codec.curves[data.clip][data.index];
  const box = byId("command");
  box.textContent = `${data.codec.label}, ${data.clip}, ${point.quality}: ${point.command || "no command stored"}`;
  box.hidden = false;
  byId("frame-clip").value = data.clip;
  fillFramePoints();
  byId("frame-point").value = `${data.codec.label}/${data.index}`;
  drawFrames();
}

function drawSpeed(s) {
  const direction = byId("direction").value, clips = s.clip ? [s.clip] : s.set.clips;
  const matrix = report.bd[s.metric][s.bdScope], anchor = report.codecs.findIndex((c) => c.label === s.anchor);
  const series = [], how = new Set();
  report.codecs.forEach((codec, i) => {
    const cell = i === anchor ? [0] : matrix[anchor][i];
    const points = clips.flatMap((clip) => (codec.curves[clip] || []).map((p) => [report.clips[clip].frames, p]));
    const seconds = points.reduce((sum, [, p]) => sum + p[direction], 0);
    points.forEach(([, p]) => how.add(`threads: ${p.threads || "all"}, commands at a time: ${p.jobs}`));
    if (!Array.isArray(cell) || !(seconds > 0) || hiddenCodecs.has(codec.label)) return;
    const fps = points.reduce((sum, [frames]) => sum + frames, 0) / seconds;
    series.push({ label: codec.label, colour: codec.colour, loose: true, text: codec.label, points: [{ x: fps, y: cell[0],
      tip: `${codec.label}\n${signed(cell[0], 1)} % against ${s.anchor}\n${shortNumber(fps)} frames per second, ${direction}` }] });
  });
  charts.speed.show({ xLabel: `frames per second, ${direction}`, yLabel: `BD-rate against ${s.anchor} (%)`, xLog: true, series });
  byId("speed-note").textContent = `Whole commands, start and file access included; ${[...how].join("; ")}.`;
}

function fillFramePoints() {
  const clip = byId("frame-clip").value, select = byId("frame-point"), options = [];
  for (const codec of report.codecs) {
    (codec.curves[clip] || []).forEach((p, i) => options.push(
      new Option(`${codec.label} ${p.quality}, ${shortNumber(p.kbps)} kbit/s`, `${codec.label}/${i}`)));
  }
  select.replaceChildren(...options);
  const middle = (report.codecs[0].curves[clip] || []).length >> 1;
  if (options.length) select.value = options[Math.min(middle, options.length - 1)].value;
}

function drawFrames() {
  const clip = byId("frame-clip").value, chosen = byId("frame-point").value, metric = metricInfo();
  const cut = chosen.lastIndexOf("/"), reference = report.codecs.find((c) => c.label === chosen.slice(0, cut));
  if (!reference) return;
  const target = reference.curves[clip][Number(chosen.slice(cut + 1))].nbytes;
  const quality = [], size = [], block = report.seriesBlock;
  for (const codec of report.codecs) {
    const points = codec.curves[clip] || [], stored = (report.series[clip] || {})[codec.label] || [];
    if (!points.length || hiddenCodecs.has(codec.label)) continue;
    const gap = (p) => Math.abs(Math.log(p.nbytes / target));
    const index = codec === reference ? Number(chosen.slice(cut + 1))
      : points.reduce((best, p, i) => (gap(p) < gap(points[best]) ? i : best), 0);
    const series = stored[index] || {}, name = `${codec.label} ${points[index].quality}`;
    const line = (values, unit, digits) => values.map((y, i) => ({ x: i * block, y,
      tip: `${name}\nframe ${i * block}${block > 1 ? ` to ${i * block + block - 1}` : ""}: ${y.toFixed(digits)} ${unit}` }));
    if (series[metric.name]) quality.push({ label: codec.label, colour: codec.colour, marks: false, points: line(series[metric.name], "", metric.digits) });
    if (series.nbytes) size.push({ label: codec.label, colour: codec.colour, marks: false, points: line(series.nbytes, "bytes", 0) });
  }
  charts["frame-quality"].show({ xLabel: "frame", yLabel: metric.label, series: quality });
  charts["frame-size"].show({ xLabel: "frame", yLabel: "bytes", series: size, yZero: true });
  byId("frame-note").textContent = "Of every codec the point nearest in size." + (block > 1 ? ` Means of ${block} frames.` : "") +
    (quality.length ? "" : " No values per frame are stored for this metric.") + (size.length ? "" : " No sizes per frame are stored.");
}

function drawLegend() {
  const lines = [...report.codecs.map((c) => [c.label, c.colour, false]), ...report.published.map((p) => [p.label, p.colour, true])];
  byId("legend").replaceChildren(...lines.map(([label, colour, dashed]) => {
    const swatch = node("i", { class: dashed ? "dashed" : "" });
    swatch.style.borderTopColor = colour;
    const button = node("button", { type: "button", "aria-pressed": String(!hiddenCodecs.has(label)), "data-label": label }, swatch, label);
    button.addEventListener("click", () => {
      if (!hiddenCodecs.delete(label)) hiddenCodecs.add(label);
      drawLegend();
      update();
    });
    return node("li", {}, button);
  }));
}

function update() {
  const s = selection();
  drawCurves(s);
  drawSpeed(s);
  tables.drawMatrix(s);
  drawFrames();
}

function fillControls() {
  byId("scope").replaceChildren(...report.sets.map((set) => new Option(set.title, "set/" + set.name)),
    ...Object.keys(report.clips).map((clip) => new Option(clip, "clip/" + clip)));
  byId("metric").replaceChildren(...report.metrics.map((m) => new Option(m.label, m.name)));
  byId("anchor").replaceChildren(...report.codecs.map((c) => new Option(c.label, c.label)));
  byId("anchor").value = report.anchor;
  byId("frame-clip").replaceChildren(...Object.keys(report.clips).map((clip) => new Option(clip, clip)));
  const clips = Object.keys(report.clips).length;
  const points = report.codecs.reduce((sum, c) => sum + Object.values(c.curves).reduce((n, p) => n + p.length, 0), 0);
  byId("summary").textContent = `${points} points, ${report.codecs.length} codecs, ${clips} clip${clips === 1 ? "" : "s"}: ${report.conditions.text}. ` +
    "Rate is the size of the whole file; quality is that of the decoded file.";
}

fillControls();
fillFramePoints();
drawLegend();
tables.drawFixed();
for (const id of ["scope", "metric", "rate", "log", "anchor", "average"]) byId(id).addEventListener("change", update);
byId("direction").addEventListener("change", () => drawSpeed(selection()));
byId("frame-clip").addEventListener("change", () => { fillFramePoints(); drawFrames(); });
byId("frame-point").addEventListener("change", drawFrames);
const withPictures = Object.keys(report.pictures);
byId("viewer-section").hidden = !withPictures.length;
byId("picture-note").textContent = report.pictureNotes.join(" ");
update();
if (withPictures.length) new Viewer(report.pictures).chooseClip(withPictures[0]);
document.documentElement.dataset.ready = "yes";
