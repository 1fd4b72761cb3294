/** One model: its answer, and its layers. Two of them stand side by side when models are compared. */

import { FORMS, Bars } from "./answers.js";
import { button, el, say, url } from "./dom.js";
import { Film } from "./film.js";
import { Depth } from "./layers.js";
import { json, Latest, of } from "./service.js";
import { words } from "./words.js";

const MOST_STEPS = 500; // of a game, see live.py
const QUIET_MS = 700; // after which an answer is read out

export class Pane {
  /**
   * @param {object} model as GET /v1/models tells it
   * @param {string} input "drawing", "picture", "noise" or "game"
   * @param {object} table of its layers
   * @param {number} number 0, or 1 for the second
   * @param {(error: Error) => void} failed
   */
  constructor(model, input, table, number, failed) {
    Object.assign(this, { model, input, failed, works: 0 });
    const title = { noise: "makes_of", game: "plays_of" }[input] ?? "answer_of";
    this.title = el("h2", { word: title, values: { model: model.name } });
    this.state = el("p", { class: "muted wait" });
    this.content = el("div", {});
    this.took = el("p", { class: "muted small took", hidden: true });
    this.node = el("section", { class: "card answer", label: title, values: { model: model.name } }, el("div", { class: "head" }, this.title, this.took), this.state, this.content);
    this.reads = input === "drawing" || input === "picture";
    this.depth = new Depth(model.name, number, this.reads);
    this.depthNode = el("div", { class: "card" }, el("h3", {}, model.name), this.depth.mapsNode);
    this.latest = new Latest((picture) => this.look(picture));
    this.wait();
    this.depth.fill(table);
  }

  /** Errors of what runs by itself are shown, unless nobody waits for it any more. */
  async guarded(work) {
    this.works += 1;
    this.node.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      if (this.closed) return;
      if (!this.form || this.reads) this.wait();
      this.failed(error);
    } finally {
      this.works -= 1;
      this.node.setAttribute("aria-busy", String(this.works > 0));
    }
  }

  wait() {
    this.state.hidden = false;
    this.took.hidden = true;
    this.form = null;
    this.content.replaceChildren();
    this.depth.forget();
    if (this.reads) say(this.state, `waits_${this.input}`);
    else this.state.textContent = "…";
  }

  /** Read a picture; null: there is none any more. */
  show(picture) {
    this.wanted = picture;
    if (picture) {
      if (!this.form) say(this.state, "thinking");
      this.guarded(() => this.latest.push(picture));
    } else {
      this.wait();
    }
  }

  async look(picture) {
    const result = await json(of(this.model.name, "look"), { body: picture });
    if (this.closed || !this.wanted) return;
    this.failed(null);
    if (!this.form) this.place(new FORMS[this.model.kind]());
    this.tell(...this.form.show(result));
    await this.depth.show(result.layers);
    this.took.hidden = !this.form;
    say(this.took, "took", { ms: Math.round(result.ms) });
  }

  place(form) {
    this.form = form;
    this.state.hidden = true;
    this.content.replaceChildren(form.node);
  }

  /** Read an answer out, once it stays. */
  tell(word, values) {
    window.clearTimeout(this.telling);
    this.telling = window.setTimeout(() => {
      document.getElementById("spoken").textContent = words(word, { model: this.model.name, ...values });
    }, QUIET_MS);
  }

  /** Images of noise. @param {object} asked body of POST make */
  make(asked) {
    this.making ??= new Latest(async (now) => {
      const known = now.class === null || this.model.classes.includes(now.class);
      const { picture } = await json(of(this.model.name, "make"), { body: { ...now, class: known ? now.class : null } });
      if (this.closed) return;
      this.failed(null);
      if (!(this.form instanceof Grid)) {
        this.form?.close?.();
        this.place(new Grid());
      }
      this.form.show(picture, now.seed);
    });
    return this.guarded(() => this.making.push(asked));
  }

  walk({ from, to, label }) {
    return this.guarded(async () => {
      const known = label === null || this.model.classes.includes(label);
      const film = await json(of(this.model.name, "walk"), { body: { seeds: [from, to], class: known ? label : null } });
      if (this.closed) return;
      this.failed(null);
      this.form?.close?.();
      this.place(new Walk(from, to));
      this.content.scrollIntoView({ block: "nearest" });
      await this.form.film.load(film.frames, film.each_ms, false);
    });
  }

  /** @param {object} asked body of POST game @param {number} from frame that the film begins with */
  game(asked, from = 0) {
    return this.guarded(async () => {
      if (!this.form) say(this.state, "loading");
      const played = await json(of(this.model.name, "game"), { body: asked });
      if (this.closed) return;
      this.failed(null);
      this.form?.close?.();
      const { steps } = asked;
      const more = played.over || steps >= MOST_STEPS ? null : () => this.game({ ...asked, steps: Math.min(MOST_STEPS, 2 * steps) }, steps);
      this.place(new Game(played, more));
      await this.form.start(from);
    });
  }

  close() {
    this.closed = true;
    window.clearTimeout(this.telling);
    this.form?.close?.();
    this.depth.close();
    for (const node of [this.node, this.depthNode, this.depth.tableNode]) node.remove();
  }
}

/** 16 images. */
class Grid {
  constructor() {
    this.image = el("img", { class: "made pixels", label: "made" });
    this.node = el("div", { class: "made-box" }, this.image);
  }

  show(picture, seed) {
    this.image.dataset.values = JSON.stringify({ seed });
    this.image.alt = words("made", { seed });
    this.image.src = url(picture);
  }
}

class Walk {
  constructor(from, to) {
    this.film = new Film("walk_film", { from, to });
    this.node = el("div", { class: "made-box" }, this.film.node);
  }

  close() {
    this.film.close();
  }
}

/** A game as a film, and its present step in words. */
class Game {
  /** @param {object} played of POST game @param {(() => void)|null} more plays on */
  constructor({ actions, each_ms, frames, over }, more) {
    Object.assign(this, { actions, each_ms, frames });
    this.film = new Film("game_film", {}, (number) => this.tell(number));
    this.state = el("p", { class: "told" });
    this.bars = new Bars(actions, "values");
    const values = frames.flatMap((frame) => frame.values);
    this.range = [Math.min(...values), Math.max(...values)];
    const told = over ? null : el("span", { class: "muted", word: "game_cut", values: { steps: frames.length - 1 } });
    const cut = told && el("p", { class: "row" }, told, more && button("game_on", more));
    this.node = el("div", {}, this.film.node, cut, el("details", { class: "values", open: true }, el("summary", { word: "values" }), this.state, this.bars.node));
  }

  async start(from) {
    await this.film.load(this.frames.map((frame) => frame.picture), this.each_ms, true, from);
  }

  tell(number) {
    const { values, action, chance, total, step } = this.frames[number];
    const told = { step, steps: this.frames.length - 1, score: Number(total.toFixed(2)), action: this.actions[action] };
    say(this.state, chance ? "game_state_chance" : "game_state", told);
    this.bars.show(values, (value) => value.toFixed(2), action, this.range, chance);
  }

  close() {
    this.film.close();
  }
}
