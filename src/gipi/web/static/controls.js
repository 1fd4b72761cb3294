/** What a person can turn at generators and players. */

import { button, el, field } from "./dom.js";

const MOST_SEED = 2 ** 31 - 1;
const STEPS = 100; // decisions of a game that are shown at first

const number = (value) => el("input", { type: "number", min: 0, max: MOST_SEED, step: 1, value, inputMode: "numeric" });
const whole = (input) => Math.min(MOST_SEED, Math.max(0, Math.trunc(Number(input.value) || 0)));
const anySeed = () => Math.floor(Math.random() * 10_000);

/** Class, seed, directions and a walk, for a generator. */
export class Noise {
  /** @param {object} about of GET /play/NAME @param {() => import("./pane.js").Pane[]} panes */
  constructor(about, panes) {
    this.panes = panes;
    this.seed = number(7);
    this.to = number(anySeed());
    this.label = null;
    this.sliders = Array.from({ length: about.directions }, (_, index) => this.slider(index));
    const make = () => this.make();
    this.seed.addEventListener("change", make);
    const renew = button("new_seed", () => {
      this.seed.value = String(anySeed());
      make();
    });
    const reset = button("reset", () => {
      for (const slider of this.sliders) slider.value = "0";
      make();
    });
    this.node = el("div", {},
      about.classes.length ? this.classes(about.classes) : null,
      el("div", { class: "row end" }, field("seed", "seed", this.seed), renew),
      el("fieldset", { class: "sliders" }, el("legend", { word: "sliders" }),
        ...this.sliders.map((slider, index) => field(slider.id, "slider", slider, { number: index + 1 })), reset,
        el("p", { class: "muted small", word: "sliders_what" })),
      el("div", { class: "row end" }, field("to", "walk_to", this.to),
        button("walk", () => this.each((pane) => pane.walk({ from: whole(this.seed), to: whole(this.to), label: this.label })), "main")));
  }

  slider(index) {
    return el("input", { type: "range", id: `slider-${index}`, min: -4, max: 4, step: 0.1, value: 0, oninput: () => this.make() });
  }

  classes(names) {
    const choice = (word, value, name) => {
      const input = el("input", { type: "radio", name: "class", checked: value === null, onchange: () => {
        this.label = value;
        this.make();
      } });
      return el("label", { class: "chip" }, input, el("span", { word }, ...(name ? [name] : [])));
    };
    return el("fieldset", { class: "chips" }, el("legend", { word: "make_class" }), choice("make_any", null, ""), ...names.map((name) => choice(undefined, name, name)));
  }

  each(work) {
    this.panes().forEach(work);
  }

  make() {
    const asked = { seed: whole(this.seed), class: this.label, sliders: this.sliders.map((slider) => Number(slider.value)) };
    this.each((pane) => pane.make(asked));
  }

  start = this.make;
}

/** Seed and share of random moves, for a player. */
export class Match {
  constructor(about, panes) {
    this.panes = panes;
    this.seed = number(0);
    this.epsilon = el("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0, oninput: () => this.tell() });
    this.share = el("output", { for: "epsilon", class: "muted" });
    const renew = button("new_seed", () => {
      this.seed.value = String(anySeed());
      this.start();
    });
    const chance = field("epsilon", "epsilon", this.epsilon);
    chance.append(this.share);
    this.node = el("div", {}, el("p", { class: "muted" }, about.environment),
      el("div", { class: "row end" }, field("seed", "seed", this.seed), renew), chance,
      button("play_game", () => this.start(), "main wide"));
    this.tell();
  }

  tell() {
    this.share.textContent = `${Math.round(100 * Number(this.epsilon.value))} %`;
  }

  start() {
    for (const pane of this.panes()) pane.game({ seed: whole(this.seed), epsilon: Number(this.epsilon.value), steps: STEPS });
  }
}
