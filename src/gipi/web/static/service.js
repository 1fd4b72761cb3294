/** Asking the service, with the token if there is one; an error is a sentence. */

import { words } from "./words.js";

const KEPT = "gipi-token";

export class Refused extends Error {
  /** @param {string} sentence @param {number} status */
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Waits for the token that a person types, and keeps it for this tab. */
function askedToken() {
  const form = document.getElementById("token");
  const input = document.getElementById("token-field");
  form.hidden = false;
  input.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, input.value.trim());
      form.hidden = true;
      resolve();
    }, { once: true });
  });
}

let waiting = null; // several requests may be refused at once: one form is enough for all

/**
 * @param {string} path relative to the page
 * @param {{body?: Blob|object, signal?: AbortSignal}} [options] an object is sent as JSON
 * @returns {Promise<Response>}
 */
async function request(path, { body, signal } = {}) {
  for (;;) {
    const headers = {};
    const token = sessionStorage.getItem(KEPT);
    if (token) headers.Authorization = `Bearer ${token}`;
    const picture = body instanceof Blob;
    if (body) headers["Content-Type"] = picture ? body.type || "application/octet-stream" : "application/json";
    const sent = body && !picture ? JSON.stringify(body) : body;
    let response;
    try {
      response = await fetch(path, { method: body ? "POST" : "GET", headers, body: sent, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(words("unreachable"), 0);
    }
    if (response.ok) return response;
    if (response.status === 401) await response.text();
    else throw new Refused(await sentence(response), response.status);
    waiting ??= askedToken();
    await waiting;
    waiting = null;
  }
}

async function sentence(response) {
  try {
    const { detail } = await response.json();
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

export const json = async (path, options) => (await request(path, options)).json();
export const blob = async (path, options) => (await request(path, options)).blob();

/** A path below a model. */
export const of = (name, what) => `play/${encodeURIComponent(name)}/${what}`;

/** One request at a time; of those that come meanwhile, the last one is next and the others are forgotten. */
export class Latest {
  /** @param {(input: any) => Promise<void>} work */
  constructor(work) {
    this.work = work;
    this.busy = false;
    this.next = null;
  }

  async push(input) {
    this.next = { input };
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.next) {
        const { input: now } = this.next;
        this.next = null;
        try {
          await this.work(now);
        } catch (error) {
          if (!this.next) throw error; // else it has been overtaken
        }
      }
    } finally {
      this.busy = false;
    }
  }
}
