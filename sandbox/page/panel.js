// The panel: the image service's mood, the bot's processes, the clock.
import { BotCard } from "./bot_card.js";
import { h, slug } from "./dom.js";
import { Live } from "./live.js";
import { timeOf, dayOf } from "./clock.js";
import { Refused, advanceClock, botAction, setLie, setMood, setOutage } from "./requests.js";

const HOUR = 3600;
const DAY = 86400;

export class Panel {
  #moods = "";
  #servers = "";
  #panel = null;
  #bots = [];

  constructor(root, app) {
    this.app = app;
    root.append(h("h2", { class: "panel-title" }, "Simulated faults"), this.#imagePart(), (this.processes = h("div", {})), this.#serverPart(), this.#liePart(), this.#clockPart(), this.#disclaimerPart());
    new Live("/sandbox/panel/live", (panel) => this.show(panel)).open();
    setInterval(() => this.#time(), 1000);
  }

  #imagePart() {
    this.mood = h("select", { class: "menu", id: "mood", "data-testid": "panel-mood", onchange: () => this.#setMood() });
    this.help = h("p", { class: "quiet", id: "mood-help", "data-testid": "panel-mood-help" });
    this.mood.setAttribute("aria-describedby", "mood-help");
    this.only = h("input", { type: "checkbox", "data-testid": "panel-mood-only", onchange: () => this.#setMood() });
    this.count = h("input", { type: "number", class: "number", min: 1, max: 99, value: 1, "aria-label": "How many", "data-testid": "panel-mood-count", onchange: () => this.only.checked && this.#setMood() });
    this.tasks = h("p", { class: "quiet", "data-testid": "panel-tasks" });
    const only = h("label", { class: "tick inline" }, this.only, h("span", {}, "only for the next"));
    return h("section", { class: "card" }, h("h3", {}, h("label", { for: "mood" }, "Image service")), this.mood, this.help, h("div", { class: "panel-row" }, only, this.count), this.tasks);
  }

  #serverPart() {
    this.servers = h("ul", { class: "servers" });
    return h("section", { class: "card" }, h("h3", {}, "Servers with the bot"), this.servers, h("p", { class: "quiet" }, "In an outage Discord tells the bot that a server is unavailable; it stays a member."));
  }

  #showServers(servers) {
    const written = JSON.stringify(servers);
    if (written === this.#servers) return;
    this.#servers = written;
    const focused = this.servers.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
    this.servers.replaceChildren(...servers.map((server) => this.#serverLine(server)));
    if (focused) this.servers.querySelector(`[data-testid="${CSS.escape(focused)}"]`)?.focus();
  }

  #serverLine({ id, name, unavailable }) {
    const words = unavailable ? "End the outage" : "Begin an outage";
    const toggle = () => this.#do(() => setOutage(id, !unavailable));
    return h("li", { class: "panel-row" }, h("bdi", { class: "permission-name" }, name), h("button", { class: "button button-2", type: "button", "aria-label": `${words} of ${name}`, "data-testid": `panel-outage-${slug(name)}`, onclick: toggle }, words));
  }

  #liePart() {
    this.lies = h("div", {});
    return h("section", { class: "card" }, h("h3", {}, "Discord"), this.lies, h("p", { class: "quiet" }, "What the real Discord is not known to do: python bot.py doctor --live finds each."));
  }

  #showLies(lies) {
    if (!this.lies.children.length) this.lies.append(...lies.map((lie) => this.#lieLine(lie)));
    lies.forEach(({ told }, number) => (this.lies.children[number].firstChild.checked = told));
  }

  #lieLine({ id, label }) {
    const tick = h("input", { type: "checkbox", "data-testid": `panel-lie-${slug(id)}`, onchange: () => this.#do(() => setLie(id, tick.checked)) });
    return h("label", { class: "tick" }, tick, h("span", {}, label));
  }

  #clockPart() {
    this.time = h("p", { "data-testid": "panel-time" });
    this.offset = h("p", { class: "quiet", "data-testid": "panel-offset" });
    const button = (words, test, seconds) => h("button", { class: "button button-2", type: "button", "data-testid": test, onclick: () => this.#do(() => advanceClock(seconds)) }, words);
    const minutes = h("input", { type: "number", class: "number", min: 1, max: 525600, value: 10, "aria-label": "Minutes", "data-testid": "panel-clock-minutes" });
    const custom = h("form", { class: "panel-row" }, minutes, h("button", { class: "button button-2", type: "submit", "data-testid": "panel-clock-custom" }, "minutes on"));
    custom.addEventListener("submit", (event) => {
      event.preventDefault();
      if (minutes.value) this.#do(() => advanceClock(Math.round(Number(minutes.value) * 60)));
    });
    return h("section", { class: "card" }, h("h3", {}, "Clock"), this.time, this.offset, h("div", { class: "panel-row" }, button("1 hour on", "panel-clock-hour", HOUR), button("1 day on", "panel-clock-day", DAY)), custom);
  }

  #disclaimerPart() {
    const words = "Images here are drawn by a program from the prompt and the seed, not by Qwen-Image: the same seed gives the same image. Nothing leaves this machine and nothing costs anything.";
    return h("p", { class: "disclaimer", "data-testid": "disclaimer" }, words);
  }

  #setMood() {
    const count = this.only.checked ? Math.max(1, Math.round(Number(this.count.value) || 1)) : null;
    this.#do(() => setMood(this.mood.value, count));
  }

  async #do(request) {
    try {
      this.show(await request());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.app.notice(error.message);
      if (this.#panel) this.show(this.#panel);
    }
  }

  show(panel) {
    this.#panel = panel;
    this.app.clock.set(panel.clock.now_ms);
    this.#showImageService(panel.image_api);
    this.#showBots(panel.bots);
    this.#showServers(panel.servers);
    this.#showLies(panel.lies);
    this.#time();
    this.app.tick();
  }

  #showImageService({ mood, moods, remaining, tasks, posts }) {
    const written = JSON.stringify(moods);
    if (written !== this.#moods) {
      this.#moods = written;
      this.mood.replaceChildren(...grouped(moods));
    }
    if (this.mood.value !== mood) this.mood.value = mood;
    if (remaining === null && document.activeElement !== this.only) this.only.checked = false;
    const left = remaining === null ? "" : ` For the next ${remaining} only.`;
    this.help.textContent = `${moods.find((each) => each.id === mood)?.help ?? ""}${left}`;
    this.tasks.textContent = `${posts} requested · ${tasks.running} running · ${tasks.done} done · ${tasks.failed} failed`;
  }

  #showBots(bots) {
    if (this.#bots.length !== bots.length) {
      this.#bots = bots.map((_, number) => new BotCard(number, bots.length, (action) => this.#do(() => botAction(action, number))));
      this.processes.replaceChildren(...this.#bots.map((card) => card.node));
    }
    bots.forEach((bot, number) => this.#bots[number].show(bot));
  }

  #time() {
    if (!this.#panel) return;
    const now = new Date(this.app.clock.now());
    const words = `${dayOf(now)}, ${timeOf(now)}`;
    if (this.time.textContent !== words) this.time.textContent = words;
    const { offset_ms } = this.#panel.clock;
    this.offset.textContent = offset_ms ? `${span(offset_ms)} ahead of this machine` : "The same as this machine's";
  }
}

function grouped(moods) {
  const groups = new Map();
  for (const mood of moods) {
    const name = mood.group ?? "All";
    if (!groups.has(name)) groups.set(name, h("optgroup", { label: name }));
    groups.get(name).append(h("option", { value: mood.id, "data-testid": `mood-${slug(mood.id)}` }, mood.label));
  }
  return groups.values();
}

function span(ms) {
  const minutes = Math.round(ms / 60000);
  const parts = [[Math.floor(minutes / 1440), "d"], [Math.floor(minutes / 60) % 24, "h"], [minutes % 60, "min"]];
  return parts.filter(([count]) => count).map(([count, unit]) => `${count} ${unit}`).join(" ") || "less than a minute";
}
