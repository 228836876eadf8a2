// The text field of a channel: plain text is sent as a message, a slash opens the list of commands.
import { h, icon, slug } from "./dom.js";
import { CommandForm } from "./command_form.js";
import { SLASH, entriesOf, filterEntries } from "./commands.js";
import { Picklist } from "./picklist.js";
import { titleOf } from "./places.js";

export class Composer {
  #form = null;

  constructor(root, app) {
    this.root = root;
    this.app = app;
    this.field = h("textarea", { class: "say", rows: 1, "aria-label": "Message", "data-testid": "composer", autocomplete: "off", maxlength: 2000 });
    this.button = h("button", { class: "icon-button send", type: "button", "aria-label": "Send message", "data-testid": "send", onclick: () => this.#say() }, icon("send"));
    const draw = (entry) => [h("span", { class: "pick-name" }, `/${entry.name}`), h("span", { class: "quiet" }, entry.description)];
    this.list = new Picklist(this.field, { label: "Commands", take: (entry) => this.#pick(entry), draw, test: (entry) => `picker-item-${slug(entry.name)}` });
    this.empty = h("p", { class: "popup picker-empty", role: "status", hidden: true });
    this.line = h("div", { class: "say-line" }, this.field, this.button);
    root.append(this.list.node, this.empty, this.line);
    this.field.addEventListener("input", () => this.#typed());
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("blur", () => this.#hide());
    this.field.addEventListener("focus", () => this.#typed());
    this.#listen();
  }

  #listen() {
    const { state } = this.app;
    state.on("snapshot", ({ samePerson }) => (samePerson ? this.#name() : this.#clear()));
    state.on("channel", () => this.#clear());
    state.on("mention", (mention) => this.#open(mention));
    state.on("places", () => document.activeElement === this.field && this.#typed());
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, textarea, select, dialog[open], [role=menu]");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || this.#form) return;
      event.preventDefault();
      this.field.focus();
      this.field.value = "/";
      this.#typed();
    });
  }

  /** Opens the form of a command that a message mentions. */
  #open({ name, id }) {
    const entry = this.#entries().find((it) => it.name === name && it.command.id === id);
    if (!entry) return this.app.notice(`/${name} is not a command here.`);
    this.#leave(false);
    this.#pick(entry);
  }

  #clear() {
    this.#leave(false);
    this.field.value = "";
    this.#name();
  }

  #name() {
    const { channel } = this.app.state;
    if (!channel) return;
    const name = titleOf(channel);
    this.field.placeholder = `Message ${name}, or type /`;
    this.field.setAttribute("aria-label", `Message ${name}`);
  }

  #entries() {
    const { state } = this.app;
    return entriesOf(state.commandsIn(state.channelId, SLASH));
  }

  #typed() {
    const text = this.field.value;
    if (!text.startsWith("/") || text.includes("\n")) return this.#hide();
    const entries = this.#entries();
    const exact = entries.find((entry) => text.startsWith(`/${entry.name} `));
    if (exact) return this.#pick(exact, text.slice(exact.name.length + 2));
    const found = filterEntries(entries, text.slice(1));
    this.list.show(found);
    this.empty.hidden = found.length > 0;
    this.empty.textContent = entries.length ? "No command like this." : "The bot has no commands here yet. Is its process running?";
  }

  #hide() {
    this.list.hide();
    this.empty.hidden = true;
  }

  #pick(entry, rest = "") {
    this.#hide();
    this.field.value = "";
    this.#form = new CommandForm(entry, this.app.state, { send: (body) => this.#run(body), leave: () => this.#leave(true) });
    this.line.replaceWith(this.#form.node);
    this.#form.focus();
    const first = this.#form.node.querySelector("textarea");
    if (rest && first) {
      first.value = rest;
      first.dispatchEvent(new Event("input"));
    }
  }

  #leave(focus) {
    this.#form?.node.replaceWith(this.line);
    this.#form = null;
    this.#hide();
    if (focus) this.field.focus();
  }

  async #run(body) {
    await this.app.runCommand(body);
    this.#leave(true);
  }

  #key(event) {
    if (this.list.key(event)) {
      if (event.key === "Escape") this.#hide();
      return;
    }
    if (event.key === "Escape") this.#hide();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#say();
  }

  async #say() {
    const text = this.field.value.trim();
    if (!text) return;
    if (await this.app.say(text)) this.field.value = "";
  }
}
