/** The page: which model, what it is shown, what it answers. */

import { el, say, translateAll, whole } from "./dom.js";
import { Match, Noise } from "./controls.js";
import { Sheet } from "./draw.js";
import { Pane } from "./pane.js";
import { blob, json, of } from "./service.js";
import { Tray } from "./show.js";
import { aboutOf, choose, has, usual, words } from "./words.js";

const KINDS = ["classify", "detect", "segment", "caption", "generate", "act"];
const SCORES = ["accuracy", "mean_iou", "ap", "bleu4", "frechet", "return"];
const TITLES = { drawing: "draw_title", picture: "show_title", noise: "make_title", game: "game_title" };
const at = (id) => document.getElementById(id);

const page = { models: [], abouts: {}, kind: "", model: null, panes: [], tool: null, shown: null, examples: 0 };

function fail(error) {
  if (error) say(at("error"), "failed", { sentence: error.message });
  else at("error").replaceChildren();
  if (!error) delete at("error").dataset.word;
}

let works = 0;

/** Work of the page itself, whose errors are shown. */
async function guarded(work) {
  works += 1;
  at("work").setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    fail(error);
  } finally {
    works -= 1;
    at("work").setAttribute("aria-busy", String(works > 0));
  }
}

function showKinds() {
  const kinds = KINDS.filter((kind) => page.models.some((model) => model.kind === kind));
  const chips = kinds.map((kind) => {
    const input = el("input", { type: "radio", name: "kind", value: kind, checked: kind === page.kind, onchange: () => guarded(() => chooseKind(kind)) });
    return el("label", { class: "chip" }, input, el("span", { word: `kind_${kind}` }));
  });
  at("kinds").replaceChildren(...chips);
}

async function chooseKind(kind) {
  page.kind = kind;
  const models = page.models.filter((model) => model.kind === kind);
  at("model").replaceChildren(...models.map((model) => el("option", { value: model.name }, model.name)));
  await chooseModel(models[0].name);
}

async function chooseModel(name) {
  const model = page.models.find((each) => each.name === name);
  page.model = model;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  const alike = await compared(model);
  if (page.model !== model) return;
  at("other").replaceChildren(el("option", { value: "", word: "nothing_else" }), ...alike.map((each) => el("option", { value: each.name }, each.name)));
  at("other").disabled = !alike.length;
  fail(null);
  open(model);
}

/** What can be done with a model, and its layers. */
async function aboutPlay(name) {
  const path = encodeURIComponent(name);
  if (!page.abouts[name]) {
    const [about, table] = await Promise.all([json(`play/${path}`), json(`v1/models/${path}/layers`)]);
    page.abouts[name] = { ...about, table };
  }
  return page.abouts[name];
}

/** The models that can be shown the same: of the same kind and input, players of the same game. */
async function compared(model) {
  const others = page.models.filter((each) => each.kind === model.kind && each !== model);
  const own = await aboutPlay(model.name);
  const abouts = await Promise.all(others.map((each) => aboutPlay(each.name)));
  return others.filter((each, index) => abouts[index].input === own.input && abouts[index].environment === own.environment);
}

/** A fresh tool and a fresh answer for a model. */
function open(model) {
  const about = page.abouts[model.name];
  page.tool?.close?.();
  page.panes.forEach((pane) => pane.close());
  page.shown = null;
  page.panes = [newPane(model, 0)];
  page.tool = tool(model, about);
  say(at("input-title"), TITLES[about.input]);
  at("tools").replaceChildren(page.tool.node);
  document.body.dataset.input = about.input;
  say(at("depth-hint"), about.input === "drawing" || about.input === "picture" ? "depth_hint" : "depth_table_only");
  lay();
  tellAbout(model);
  page.tool.start?.();
  if (about.input === "picture") page.tool.begin();
}

function tool(model, about) {
  const show = (picture) => {
    page.shown = picture;
    page.panes.forEach((pane) => pane.show(picture));
  };
  const given = about.example ? example : null;
  if (about.input === "drawing") return new Sheet(show, given, guarded);
  if (about.input === "noise") return new Noise(about, () => page.panes);
  if (about.input === "game") return new Match(about, () => page.panes);
  const word = model.kind === "classify" ? "example_made" : "example_scene";
  return new Tray(show, given, word, guarded);
}

/** The next picture for somebody who has none. */
function example() {
  page.examples += 1;
  return blob(`${of(page.model.name, "example")}?number=${page.examples}`);
}

function newPane(model, number) {
  const { input, table } = page.abouts[model.name];
  return new Pane(model, input, table, number, fail);
}

/** One net's table stands below what it is shown, beside its maps; of two nets, or without maps, below each. */
function lay() {
  at("answers").replaceChildren(...page.panes.map((pane) => pane.node));
  at("depths").replaceChildren(...page.panes.map((pane) => pane.depthNode));
  const left = page.panes.length === 1 && ["drawing", "picture"].includes(page.panes[0].input);
  for (const { depth, depthNode } of page.panes) (left ? at("left-table") : depthNode).append(depth.tableNode);
  document.body.classList.toggle("two", page.panes.length > 1);
}

function compare(name) {
  page.panes.splice(1).forEach((pane) => pane.close());
  const other = page.models.find((each) => each.name === name);
  if (other) {
    const pane = newPane(other, 1);
    page.panes.push(pane);
    if (page.shown) pane.show(page.shown);
  }
  lay();
  if (other) page.tool.start?.();
}

function tellAbout(model) {
  const { layers, parameters } = page.abouts[model.name].table;
  const weighty = layers.filter((layer) => /^(conv|affine)/.test(layer.kind)).length;
  const facts = words("about_facts", { net: model.net, layers: weighty, weights: whole(parameters) });
  const score = SCORES.find((each) => each in model.metrics && has(`score_${each}`));
  const value = score && (["frechet", "return"].includes(score) ? model.metrics[score].toFixed(2) : `${(100 * model.metrics[score]).toFixed(2)} %`);
  const parts = [aboutOf(model), facts, score ? words(`score_${score}`, { value }) : ""].filter(Boolean);
  at("about").replaceChildren(el("strong", {}, parts[0]), el("span", { class: "muted" }, parts.slice(1).join(" · ")));
}

function speak(code) {
  choose(code);
  translateAll();
  for (const each of document.querySelectorAll("[data-language]")) each.setAttribute("aria-pressed", String(each.dataset.language === code));
  if (page.panes.length) tellAbout(page.model);
}

async function start() {
  speak(usual());
  for (const each of document.querySelectorAll("[data-language]")) each.addEventListener("click", () => speak(each.dataset.language));
  at("model").addEventListener("change", (event) => guarded(() => chooseModel(event.target.value)));
  at("other").addEventListener("change", (event) => compare(event.target.value));
  page.models = (await json("v1/models")).models;
  if (!page.models.length) throw new Error(words("no_models"));
  const wanted = page.models.find((model) => model.name === decodeURIComponent(location.hash.slice(1)));
  page.kind = wanted?.kind ?? KINDS.find((kind) => page.models.some((model) => model.kind === kind));
  showKinds();
  await chooseKind(page.kind);
  if (wanted && wanted !== page.model) {
    at("model").value = wanted.name;
    await chooseModel(wanted.name);
  }
}

guarded(start);
