/** Pictures that follow each other: play, pause, step, speed; still at first for who wants no motion. */

import { el, picture, say } from "./dom.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
let films = 0;

export class Film {
  /** @param {string} label key of words.js: what is seen @param {object} values for its gaps @param {(frame: number) => void} shown after each frame */
  constructor(label, values = {}, shown = () => {}) {
    films += 1;
    this.shown = shown;
    this.canvas = el("canvas", { class: "film", role: "img", label, values });
    this.toggle = el("button", { type: "button", class: "main", word: "play", onclick: () => this.run(!this.running) });
    const step = (word, sign, by) => el("button", { type: "button", label: word, onclick: () => this.step(by) }, sign);
    this.position = el("input", { type: "range", min: 0, max: 0, value: 0, label: "position", oninput: () => this.jump(Number(this.position.value)) });
    this.speed = el("select", { id: `speed-${films}`, onchange: () => this.run(this.running) }, ...SPEEDS.map((each) => el("option", { value: each, selected: each === 1 }, `${each} ×`)));
    const speed = el("p", { class: "field inline" }, el("label", { for: this.speed.id, word: "speed" }), this.speed);
    this.node = el("div", { class: "film-box" }, this.canvas, this.position,
      el("div", { class: "row" }, this.toggle, step("back", "‹", -1), step("forward", "›", 1), speed));
    this.frames = [];
    this.running = false;
  }

  /** @param {string[]} frames PNGs in base64 @param {number} each_ms @param {boolean} ends whether it stops at the last one */
  async load(frames, each_ms, ends, from = 0) {
    this.run(false);
    Object.assign(this, { frames, each_ms, ends });
    this.position.max = String(frames.length - 1);
    await this.jump(from);
    this.run(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  async jump(number) {
    this.number = number;
    this.position.value = String(number);
    const image = await picture(this.frames[number]);
    if (this.number !== number) return;
    if (this.canvas.width !== image.width || this.canvas.height !== image.height) {
      Object.assign(this.canvas, { width: image.width, height: image.height });
    }
    this.canvas.getContext("2d").drawImage(image, 0, 0);
    this.shown(number);
  }

  step(by) {
    this.run(false);
    this.jump(Math.min(this.frames.length - 1, Math.max(0, this.number + by)));
  }

  run(on) {
    window.clearInterval(this.clock);
    this.running = on && this.frames.length > 1;
    say(this.toggle, this.running ? "pause" : "play");
    if (!this.running) return;
    if (this.ends && this.number === this.frames.length - 1) this.jump(0);
    const pause = this.each_ms / Number(this.speed.value);
    const by = Math.max(1, Math.round(16 / pause)); // a screen shows no more than 60 frames a second
    this.clock = window.setInterval(() => this.tick(by), pause * by);
  }

  tick(by) {
    const last = this.frames.length - 1;
    if (this.ends && this.number + by >= last) {
      this.run(false);
      this.jump(last);
    } else {
      this.jump((this.number + by) % this.frames.length);
    }
  }

  close() {
    window.clearInterval(this.clock);
  }
}
