/** Showing a picture to a model: choose, drop, paste, photograph, or take a made-up one. */

import { button, el } from "./dom.js";
import { words } from "./words.js";

const LARGEST = 1600; // pixels of the longer side of what is sent

export class Tray {
  /**
   * @param {(picture: Blob) => void} changed
   * @param {(() => Promise<Blob>)|null} example
   * @param {string} exampleWord key of what an example is called
   * @param {(work: () => Promise<void>) => void} run shows what goes wrong
   */
  constructor(changed, example, exampleWord, run) {
    Object.assign(this, { changed, example, run });
    this.shown = el("img", { class: "shown", label: "show_shown", hidden: true });
    this.drop = el("div", { class: "drop" }, el("p", { class: "muted", word: "show_hint" }), this.shown);
    const take = (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) run(() => this.take(file));
    };
    const file = el("input", { type: "file", accept: "image/*", id: "file", class: "hidden", onchange: take });
    const camera = el("input", { type: "file", accept: "image/*", id: "camera", class: "hidden", capture: "environment", onchange: take });
    this.node = el("div", {}, this.drop, el("div", { class: "row" },
      el("span", {}, file, el("label", { for: "file", class: "button", word: "show_choose" })),
      el("span", { class: "touch" }, camera, el("label", { for: "camera", class: "button", word: "show_camera" })),
      example && button(exampleWord, () => this.begin(), "main")));
    this.listen();
  }

  listen() {
    const { drop } = this;
    for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", over);
        if (name === "drop") this.given(event.dataTransfer);
      });
    }
    this.paste = (event) => this.given(event.clipboardData);
    document.addEventListener("paste", this.paste);
  }

  given(transfer) {
    const file = [...transfer.files].find((each) => each.type.startsWith("image/"));
    if (!file && !transfer.files.length) return;
    this.run(async () => {
      if (!file) throw new Error(words("no_picture"));
      await this.take(file);
    });
  }

  /** Take an example, if there are any. */
  begin() {
    if (this.example) this.run(async () => this.take(await this.example()));
  }

  /** Show a picture here, and the model one that is no larger than it needs. @param {Blob} blob */
  async take(blob) {
    URL.revokeObjectURL(this.shown.src);
    this.shown.src = URL.createObjectURL(blob);
    this.shown.hidden = false;
    let picture = blob;
    try {
      const bitmap = await createImageBitmap(blob);
      this.shown.classList.toggle("tiny", Math.max(bitmap.width, bitmap.height) <= 160);
      if (Math.max(bitmap.width, bitmap.height) > LARGEST) picture = await reduced(bitmap);
      bitmap.close();
    } catch {
      this.shown.hidden = true; // the browser cannot show it; perhaps the service can read it
    }
    this.changed(picture);
  }

  close() {
    document.removeEventListener("paste", this.paste);
    URL.revokeObjectURL(this.shown.src);
  }
}

function reduced(bitmap) {
  const zoom = LARGEST / Math.max(bitmap.width, bitmap.height);
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * zoom), Math.round(bitmap.height * zoom));
  const brush = canvas.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}
