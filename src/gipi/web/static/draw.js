/** A sheet to draw on with a thick brush: mouse, finger, pen, or keys. */

import { button, el, say } from "./dom.js";

const SIDE = 560; // pixels of the sheet
const SENT = 280; // of what is sent
const BRUSH = 46;
const STEP = 14; // of an arrow key

export class Sheet {
  /**
   * @param {(picture: Blob|null) => void} changed is called after each stroke's every move; null for an empty sheet
   * @param {(() => Promise<Blob>)|null} example a digit that somebody wrote
   * @param {(work: () => Promise<void>) => void} run shows what goes wrong
   */
  constructor(changed, example, run) {
    this.changed = changed;
    this.canvas = el("canvas", {
      width: SIDE, height: SIDE, class: "sheet", tabIndex: 0, label: "draw_canvas", role: "application", "aria-describedby": "draw-keys",
    });
    this.pen = this.canvas.getContext("2d");
    Object.assign(this.pen, { lineWidth: BRUSH, lineCap: "round", lineJoin: "round", strokeStyle: "#000", fillStyle: "#000" });
    this.cursor = el("span", { class: "cursor", hidden: true });
    this.place = [SIDE / 2, SIDE / 4];
    this.empty = true;
    this.down = false; // of the keyboard's brush
    this.listen();
    this.spoken = el("span", { class: "hidden", "aria-live": "polite" });
    this.node = el("div", {},
      el("p", { class: "muted small", word: "draw_hint" }),
      el("div", { class: "paper" }, this.canvas, this.cursor),
      el("div", { class: "row" }, button("clear", () => this.clear(), "main"), example && button("example_digit", () => run(async () => this.copy(await example()))),
        el("details", {}, el("summary", { word: "draw_keys" }), el("p", { id: "draw-keys", class: "muted small", word: "draw_keys_how" }))),
      this.spoken);
  }

  listen() {
    const { canvas } = this;
    let drawing = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || drawing !== null) return;
      drawing = event.pointerId;
      canvas.setPointerCapture(drawing);
      this.cursor.hidden = true;
      this.place = this.where(event);
      this.line(this.place);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== drawing) return;
      const moves = event.getCoalescedEvents?.() ?? [];
      for (const move of moves.length ? moves : [event]) this.line(this.where(move));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => {
        if (event.pointerId === drawing) drawing = null;
      });
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => {
      this.cursor.hidden = true;
      this.down = false;
    });
  }

  where(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * (SIDE / box.width), (event.clientY - box.top) * (SIDE / box.height)];
  }

  /** A stroke from where the brush is. */
  line(to) {
    this.pen.beginPath();
    this.pen.moveTo(...this.place);
    this.pen.lineTo(to[0], to[1] + 0.01); // a stroke without any length would leave no dot
    this.pen.stroke();
    this.place = to;
    this.empty = false;
    this.tell();
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (way) {
      const far = event.shiftKey ? 4 * STEP : STEP;
      const to = this.place.map((value, axis) => Math.min(SIDE, Math.max(0, value + far * way[axis])));
      if (this.down) this.line(to);
      this.place = to;
    } else if (event.key === " ") {
      this.down = !this.down;
      if (this.down) this.line(this.place);
      say(this.spoken, this.down ? "brush_down" : "brush_up");
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    this.point();
  }

  /** Show where the keyboard's brush is. */
  point() {
    this.cursor.hidden = false;
    this.cursor.classList.toggle("down", this.down);
    this.cursor.style.left = `${(100 * this.place[0]) / SIDE}%`;
    this.cursor.style.top = `${(100 * this.place[1]) / SIDE}%`;
  }

  clear() {
    this.pen.clearRect(0, 0, SIDE, SIDE);
    this.empty = true;
    this.down = false;
    this.changed(null);
  }

  /** Put a white-on-black picture on the sheet, as ink. */
  async copy(blob) {
    const bitmap = await createImageBitmap(blob);
    const small = new OffscreenCanvas(bitmap.width, bitmap.height);
    const brush = small.getContext("2d");
    brush.drawImage(bitmap, 0, 0);
    const pixels = brush.getImageData(0, 0, bitmap.width, bitmap.height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data[at + 3] = pixels.data[at];
      pixels.data.fill(0, at, at + 3);
    }
    brush.putImageData(pixels, 0, 0);
    this.pen.clearRect(0, 0, SIDE, SIDE);
    this.pen.drawImage(small, 0, 0, SIDE, SIDE);
    this.empty = false;
    this.tell();
  }

  /** Tell the newest state, once the browser has time to look. */
  tell() {
    if (this.telling) return;
    this.telling = true;
    requestAnimationFrame(async () => {
      this.telling = false;
      this.changed(this.empty ? null : await this.picture());
    });
  }

  /** Black on white, whatever the page's colours are. */
  picture() {
    const sent = el("canvas", { width: SENT, height: SENT });
    const brush = sent.getContext("2d");
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, SENT, SENT);
    brush.drawImage(this.canvas, 0, 0, SENT, SENT);
    return new Promise((resolve) => sent.toBlob(resolve, "image/png"));
  }
}
