/** What a model says of a picture, as elements: one form a kind. */

import { el, percent, say, url } from "./dom.js";

/** Bars of numbers 0 to 1, or of any range, each with its name; they are changed in place. */
export class Bars {
  /** @param {string[]} names @param {string} label key of words.js */
  constructor(names, label) {
    this.rows = names.map((name) => {
      const bar = el("span", { class: "fill" });
      const number = el("span", { class: "number" });
      return { item: el("li", {}, el("span", { class: "name" }, name), el("span", { class: "bar" }, bar), number), bar, number };
    });
    this.node = el("ol", { class: "bars", label, role: "list" }, ...this.rows.map((row) => row.item));
  }

  /** @param {number[]} values @param {(value: number) => string} told @param {number} best index @param {[number, number]} range */
  show(values, told, best, range = [0, 1], chance = false) {
    const [low, high] = [Math.min(0, range[0]), Math.max(0, range[1])];
    const at = (value) => (100 * (value - low)) / (high - low || 1);
    values.forEach((value, index) => {
      const { item, bar, number } = this.rows[index];
      const [start, end] = [at(Math.min(0, value)), at(Math.max(0, value))];
      bar.style.left = `${start}%`;
      bar.style.width = `${Math.max(end - start, 0.4)}%`;
      number.textContent = told(value);
      item.classList.toggle("best", index === best);
      item.classList.toggle("chance", index === best && chance);
    });
  }
}

/** A classifier's answer: the label in large letters, the bars, and what the net saw. */
export class Label {
  constructor() {
    this.label = el("strong", { class: "label" });
    this.share = el("span", { class: "muted" });
    this.saw = el("img", { class: "saw pixels", label: "net_saw", width: 112, height: 112 });
    this.place = el("div", { class: "grow" });
    this.node = el("div", { class: "label-answer" },
      el("div", { class: "verdict" }, el("p", {}, this.label, this.share),
        el("figure", {}, this.saw, el("figcaption", { word: "net_saw" }))),
      this.place);
  }

  show({ prediction, framed }) {
    const every = prediction.probabilities ?? Object.fromEntries(prediction.top.map((one) => [one.label, one.score]));
    const names = Object.keys(every);
    if (names.join() !== this.names || prediction.top.length === names.length) {
      this.names = names.join();
      this.bars = new Bars(names, "probabilities");
      this.place.replaceChildren(this.bars.node);
    }
    this.label.textContent = prediction.label;
    this.label.classList.toggle("long", prediction.label.length > 2);
    say(this.share, "sure", { share: percent(prediction.score) });
    this.saw.src = url(framed);
    this.bars.show(Object.values(every), (value) => percent(value, 1), names.indexOf(prediction.label));
    return ["spoken_label", { label: prediction.label, share: percent(prediction.score) }];
  }
}

/** A picture that the service has drawn, and below it the same in words. */
class Drawn {
  constructor(label) {
    this.image = el("img", { class: "drawn", label });
    this.text = el("p", { class: "told" });
    this.more = el("div", { class: "more" });
    this.node = el("div", {}, this.text, el("div", { class: "beside" }, this.image, this.more));
  }

  show(result) {
    this.image.src = url(result.picture);
    return this.tell(result);
  }
}

export class Boxes extends Drawn {
  constructor() {
    super("drawn_boxes");
  }

  tell({ prediction }) {
    const { boxes } = prediction;
    const told = boxes.map((box) => `${box.label} ${percent(box.score)}`).join(", ");
    if (boxes.length) say(this.text, "found", { count: boxes.length });
    else say(this.text, "found_none");
    this.more.replaceChildren(boxes.length ? table([["thing", "score"]], boxes.map((box) => [box.label, percent(box.score)])) : "");
    return boxes.length ? ["spoken_text", { text: told }] : ["found_none", {}];
  }
}

export class Areas extends Drawn {
  constructor() {
    super("drawn_mask");
  }

  tell({ prediction }) {
    const rows = prediction.classes.map((one) => [one.name, percent(one.share, 1)]);
    this.more.replaceChildren(table([["thing", "share"]], rows));
    return ["spoken_text", { text: rows.map((row) => row.join(" ")).join(", ") }];
  }
}

export class Sentences extends Drawn {
  constructor() {
    super("drawn_caption");
    this.node.className = "sentences";
  }

  tell({ prediction, words }) {
    this.text.textContent = prediction.caption;
    const chance = el("p", { class: "muted", word: "log_probability", values: { value: prediction.log_probability.toFixed(2) } });
    const looked = words && el("figure", {}, el("figcaption", { word: "drawn_words" }), el("img", { class: "drawn", label: "drawn_words", src: url(words) }));
    this.more.replaceChildren(chance, ...(looked ? [looked] : []));
    return ["spoken_text", { text: prediction.caption }];
  }
}

function table([heads], rows) {
  return el("table", { class: "brief" },
    el("thead", {}, el("tr", {}, ...heads.map((word) => el("th", { scope: "col", word })))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell))))));
}

export const FORMS = { classify: Label, detect: Boxes, segment: Areas, caption: Sentences };
