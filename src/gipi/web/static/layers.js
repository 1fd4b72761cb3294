/** A net layer by layer: the table of its depth, and beside it what each layer makes of the picture. */

import { el, picture } from "./dom.js";

const CHANNELS = 16;
const LONGEST = 15; // letters of a name in the table
const GAP = 2; // CSS pixels between the maps of a row
const [WIDE, NAMES] = [520, 132]; // of a list whose names stand beside the maps; their width, see play.css

export class Depth {
  /** @param {string} model name @param {number} number tells two of them apart @param {boolean} maps whether it reads pictures */
  constructor(model, number, maps) {
    this.id = `map-${number}`;
    this.rows = [];
    this.list = el("ol", { class: "maps", label: "maps_of", values: { model }, role: "list" });
    this.wait = el("p", { class: "muted wait", word: "maps_wait" });
    this.body = el("tbody");
    this.table = el("table", {}, el("caption", { class: "hidden", word: "table_of", values: { model } }), head(), this.body);
    this.tableNode = el("div", { class: "scroll", tabIndex: 0, role: "region", label: "table_of", values: { model } }, this.table);
    this.mapsNode = el("div", { hidden: !maps }, this.wait, this.list);
    this.resize = new ResizeObserver(() => this.rows.forEach((row) => this.paint(row)));
    this.resize.observe(this.list);
    for (const kind of ["pointerover", "pointerout", "focusin", "focusout"]) {
      for (const node of [this.tableNode, this.mapsNode]) node.addEventListener(kind, (event) => this.light(event));
    }
  }

  /** The rows of GET /v1/models/NAME/layers. */
  fill({ layers, parameters, multiply_adds: multiplyAdds }) {
    const rows = layers.map((layer) => {
      const cells = [layer.kind, times(layer.shape), short(layer.parameters), short(layer.multiply_adds), seen(layer)];
      const row = el("tr", {}, el("th", { scope: "row" }), ...cells.map((cell) => el("td", {}, cell)));
      row.dataset.layer = layer.name;
      return row;
    });
    const total = ["", "", short(parameters), short(multiplyAdds), ""].map((cell) => el("td", {}, cell));
    this.body.replaceChildren(...rows, el("tr", { class: "total" }, el("th", { scope: "row", word: "total" }), ...total));
    this.link();
  }

  /** The layers of a look: rows are kept as long as the net is the same. */
  async show(layers) {
    const images = await Promise.all(layers.map((layer) => picture(layer.picture)));
    if (layers.map((layer) => layer.name).join() !== this.rows.map((row) => row.name).join()) this.build(layers);
    this.wait.hidden = true;
    this.rows.forEach((row, index) => {
      row.image = images[index];
      row.shape = layers[index].shape;
      row.size.textContent = times(row.shape);
      this.paint(row);
    });
  }

  forget() {
    this.rows = [];
    this.list.replaceChildren();
    this.wait.hidden = false;
    this.link();
  }

  build(layers) {
    this.rows = layers.map(({ name, kind }, index) => {
      const canvas = el("canvas", { role: "img", label: "map", values: { layer: `${name}, ${kind}` } });
      const size = el("span", { class: "muted" });
      const item = el("li", { id: `${this.id}-${index}`, tabIndex: -1, title: name }, el("p", { class: "map-name" }, el("span", {}, kind), size), canvas);
      item.dataset.layer = name;
      return { name, item, canvas, size, image: null, shape: [] };
    });
    this.list.replaceChildren(...this.rows.map((row) => row.item));
    this.link();
  }

  /** Names in the table lead to the maps that there are. */
  link() {
    for (const row of this.body.querySelectorAll("tr[data-layer]")) {
      const map = this.rows.find((each) => each.name === row.dataset.layer);
      const name = map ? el("a", { href: `#${map.item.id}` }, tail(row.dataset.layer)) : el("span", {}, tail(row.dataset.layer));
      name.title = row.dataset.layer;
      row.querySelector("th").replaceChildren(name);
    }
  }

  /** The channels of a strip, each by itself, pixels as they are. */
  paint({ canvas, image, shape }) {
    if (!image || !this.list.clientWidth) return;
    const count = Math.min(CHANNELS, shape[0]);
    const ratio = window.devicePixelRatio || 1;
    const width = this.list.clientWidth - (this.list.clientWidth > WIDE ? NAMES : 12);
    const columns = width >= 400 ? CHANNELS : CHANNELS / 2;
    const side = Math.floor((width * ratio) / columns - GAP * ratio);
    const [fromWidth, fromHeight] = [image.width / count, image.height];
    const tall = Math.max(1, Math.round((side * fromHeight) / fromWidth));
    const [across, down] = [side + GAP * ratio, tall + GAP * ratio];
    canvas.width = Math.round(columns * across);
    canvas.height = Math.round(Math.ceil(count / columns) * down);
    canvas.style.width = `${canvas.width / ratio}px`;
    canvas.style.height = `${canvas.height / ratio}px`;
    const brush = canvas.getContext("2d");
    brush.imageSmoothingEnabled = side < fromWidth;
    for (let channel = 0; channel < count; channel += 1) {
      const [left, top] = [(channel % columns) * across, Math.floor(channel / columns) * down];
      brush.drawImage(image, channel * fromWidth, 0, fromWidth, fromHeight, Math.round(left), Math.round(top), side, tall);
    }
  }

  /** What is pointed at or focused here stands out in the table and among the maps. */
  light(event) {
    const layer = event.target.closest?.("[data-layer]")?.dataset.layer;
    const on = (event.type === "pointerover" || event.type === "focusin") && layer;
    for (const node of [...this.list.children, ...this.body.children]) node.classList.toggle("lit", Boolean(on) && node.dataset.layer === layer);
  }

  close() {
    this.resize.disconnect();
  }
}

function head() {
  const columns = ["col_layer", "col_kind", "col_shape", "col_parameters", "col_multiply_adds", "col_field"];
  return el("thead", {}, el("tr", {}, ...columns.map((word) => el("th", { scope: "col", word }))));
}

const times = (sizes) => sizes.join("×");

/** The end of a long name, which tells more than its beginning. */
function tail(name) {
  let end = name;
  while (end.length > LONGEST && end.includes(".")) end = end.slice(end.indexOf(".") + 1);
  return end === name ? name : `…${end}`;
}

/** At most three digits that count: 1.81 M; nothing for nothing. */
function short(number) {
  const [unit, name] = [[1e9, " G"], [1e6, " M"], [1e3, " k"]].find(([size]) => number >= size) ?? [1, ""];
  return number ? Number((number / unit).toPrecision(3)) + name : "";
}

function seen({ reach }) {
  if (!reach) return "?";
  const [height, width] = reach.field;
  return height === width ? String(height) : times([height, width]);
}
