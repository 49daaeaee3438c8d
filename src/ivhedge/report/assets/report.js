"use strict";
(() => {
  const DARK = {
    series0: "#8b98a9", series1: "#5aa9ff", series2: "#2fd0b5", series3: "#f6b13d",
    series4: "#c38bff", series5: "#ff7fa8", series6: "#9bd14f", series7: "#5fd3ee",
    delta: "#5aa9ff", gamma: "#2fd0b5", theta: "#f6b13d", vega: "#c38bff", vanna: "#ff7fa8",
    volga: "#9bd14f", funding: "#5fd3ee", fees: "#e5534b", slippage: "#b8702f", residual: "#6b7786",
    inside: "#7d8a9a", rich: "#ff6b6b", cheap: "#35c28e", rejected: "#c38bff", model: "#f6b13d", backbone: "#5fd3ee", gain: "#1f7a58", loss: "#9c3434",
  };
  const LIGHT = {
    series0: "#6b7786", series1: "#1b6fc9", series2: "#0d8f7a", series3: "#c47a00",
    series4: "#7b3fc4", series5: "#c43767", series6: "#5b8a10", series7: "#0f86a3",
    delta: "#1b6fc9", gamma: "#0d8f7a", theta: "#d08a00", vega: "#7b3fc4", vanna: "#d0487a",
    volga: "#6b9a1a", funding: "#1592b0", fees: "#c62f2f", slippage: "#8a4f17", residual: "#98a2ae",
    inside: "#8a96a3", rich: "#c62f2f", cheap: "#0b8a5c", rejected: "#7b3fc4", model: "#c47a00", backbone: "#0f86a3", gain: "#7fcfae", loss: "#ef9a9a",
  };
  const PAGE_COLORS = ["bg", "panel", "panel2", "grid", "axis", "text", "muted"];
  let printing = false;

  const known = (v) => v !== null && v !== undefined && v !== "" && v !== "-" && Number.isFinite(Number(v));
  const fixed = (v, d) =>
    known(v)
      ? Number(v).toLocaleString("en-US", { minimumFractionDigits: d, maximumFractionDigits: d }).replace("-", "−")
      : "–";
  const trim = (v, d) =>
    known(v) ? Number(v).toLocaleString("en-US", { maximumFractionDigits: d }).replace("-", "−") : "–";
  const compact = (v) => {
    const size = Math.abs(v);
    if (size >= 1e9) return trim(v / 1e9, 2) + "B";
    if (size >= 1e6) return trim(v / 1e6, 2) + "M";
    if (size >= 1e3) return trim(v / 1e3, 1) + "k";
    return trim(v, size < 10 ? 2 : 0);
  };
  const last = (v) => (Array.isArray(v) ? v[v.length - 1] : v);
  const escaped = (v) =>
    String(v).replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const two = (v) => String(v).padStart(2, "0");
  const day = (ms) => {
    const t = new Date(ms);
    const hour = t.getUTCHours() || t.getUTCMinutes() ? ` ${two(t.getUTCHours())}:${two(t.getUTCMinutes())}` : "";
    return `${t.getUTCDate()} ${MONTHS[t.getUTCMonth()]}${hour}`;
  };
  const vol = (v) => (known(v) ? fixed(100 * v, 1) + " %" : "–");

  const bidAskBar = (params, api) => {
    const strike = api.value(0), bid = api.value(1), ask = api.value(2), mid = api.value(3);
    const ink = api.visual("color");
    const parts = [];
    const at = (value) => api.coord([strike, value]);
    const stroke = { stroke: ink, lineWidth: 1.3, fill: "none" };
    const cap = (value) => {
      const [x, y] = at(value);
      parts.push({ type: "line", shape: { x1: x - 3, y1: y, x2: x + 3, y2: y }, style: stroke });
    };
    if (known(bid)) cap(bid);
    if (known(ask)) cap(ask);
    if (known(bid) && known(ask)) {
      const [x, low] = at(bid);
      parts.push({ type: "line", shape: { x1: x, y1: low, x2: x, y2: at(ask)[1] }, style: stroke });
    }
    // One side only: an arrow from it to where the other may be.
    if (known(bid) !== known(ask)) {
      const [x, y] = at(known(bid) ? bid : ask);
      const up = known(bid) ? -1 : 1;
      parts.push({ type: "line", shape: { x1: x, y1: y, x2: x, y2: y + 8 * up }, style: stroke });
      parts.push({
        type: "polygon",
        shape: { points: [[x - 3, y + 7 * up], [x + 3, y + 7 * up], [x, y + 12 * up]] },
        style: { fill: ink },
      });
    }
    if (api.value(6) === 1) {
      const values = [mid, bid, ask].filter(known);
      const [x, seen] = at(values[0]);
      // A rejected quote off the axis is marked at its edge.
      const box = params.coordSys;
      const y = Math.min(Math.max(seen, box.y + 5), box.y + box.height - 5);
      for (const side of [-1, 1])
        parts.push({
          type: "line", shape: { x1: x - 4, y1: y - 4 * side, x2: x + 4, y2: y + 4 * side },
          style: { ...stroke, lineWidth: 1.8 },
        });
    } else if (known(mid)) {
      const [x, y] = at(mid);
      parts.push({ type: "circle", shape: { cx: x, cy: y, r: 2.3 }, style: { fill: ink } });
    }
    return { type: "group", children: parts };
  };
  const residualBar = (params, api) => {
    const [x, y] = api.coord([api.value(0), api.value(1)]);
    const zero = api.coord([api.value(0), 0])[1];
    return {
      type: "rect",
      shape: { x: x - 1.5, y: Math.min(y, zero), width: 3, height: Math.max(Math.abs(zero - y), 0.5) },
      style: { fill: api.visual("color") },
    };
  };

  const FUNCTIONS = {
    usd: compact,
    usd0: (v) => fixed(last(v), 0) + " USD",
    coin: (v) => fixed(last(v), 4),
    plain: (v) => trim(last(v), 3),
    seconds: (v) => trim(last(v), 3) + " s",
    secondsLabel: (p) => trim(last(p.value), 2) + " s",
    vol: (v) => vol(last(v)),
    volpct: (v) => trim(100 * v, 1) + "%",
    points: (v) => trim(v, 2),
    points1: (v) => fixed(last(v), 2) + " pts",
    days: (v) => trim(v, v < 1 ? 1 : 0),
    strike: (v) => (Math.abs(v) >= 10000 ? trim(v / 1000, 1) + "k" : trim(v, 2)),
    day,
    heatTip_usd: (p) => `${escaped(p.seriesName)}<br>${fixed(p.value[2], 0)} USD`,
    heatTip_coin: (p) => `${escaped(p.seriesName)}<br>${fixed(p.value[2], 4)}`,
    heat_usd: (p) => compact(p.value[2]),
    heat_coin: (p) => trim(p.value[2], 3),
    quoteTip: (p) => {
      const [strike, bid, ask, mid, model, venue] = p.value;
      return `<b>${trim(strike, 2)}</b> ${escaped(venue === null ? "" : venue)}<br>bid ${vol(bid)} · ask ${vol(ask)}` +
        `<br>mid ${vol(mid)} · model ${vol(model)}<br>${escaped(p.seriesName)}`;
    },
    residualTip: (p) => `<b>${trim(p.value[0], 2)}</b><br>mid − model ${fixed(p.value[2], 2)} half-spreads, ` +
      `${fixed(p.value[3], 2)} pts<br>${escaped(p.seriesName)}`,
    bidAskBar,
    residualBar,
  };

  const theme = () => {
    const light = printing || document.documentElement.dataset.theme === "light";
    const style = getComputedStyle(document.documentElement);
    const colors = { ...(light ? LIGHT : DARK) };
    for (const name of PAGE_COLORS) colors[name] = style.getPropertyValue("--" + name).trim();
    if (printing) Object.assign(colors, { bg: "#fff", panel: "#fff", panel2: "#f2f4f6", grid: "#e4e8ec", axis: "#b4bdc7", text: "#17202a", muted: "#5b6875" });
    return colors;
  };
  const filled = (node, colors) => {
    if (Array.isArray(node)) return node.map((item) => filled(item, colors));
    if (node === null || typeof node !== "object") return node;
    if (typeof node.$color === "string") return colors[node.$color];
    if (typeof node.$fn === "string") return FUNCTIONS[node.$fn];
    return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, filled(item, colors)]));
  };

  const options = JSON.parse(document.getElementById("chart-options").textContent);
  const draw = () => {
    const colors = theme();
    for (const [id, option] of Object.entries(options)) {
      const place = document.getElementById(id);
      const old = echarts.getInstanceByDom(place);
      if (old) old.dispose();
      echarts.init(place, null, { renderer: "canvas" }).setOption(filled(option, colors));
    }
    document.body.dataset.charts = String(Object.keys(options).length);
  };
  draw();
  document.getElementById("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
    draw();
  });
  window.addEventListener("beforeprint", () => { printing = true; draw(); });
  window.addEventListener("afterprint", () => { printing = false; draw(); });
  window.addEventListener("resize", () => {
    for (const id of Object.keys(options)) echarts.getInstanceByDom(document.getElementById(id))?.resize();
  });
})();
