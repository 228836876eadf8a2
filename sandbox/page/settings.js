// A server's settings for its admins: command permissions, age-restricted channels, the app itself.
import { h, slug } from "./dom.js";
import { titleOf } from "./places.js";
import * as requests from "./requests.js";
import { rolesOf, usersOf } from "./selects.js";

const ROLE = 1;
const USER = 2;
const CHANNEL = 3;
const ALL = "";

export class ServerSettings {
  #guildId = null;
  #command = ALL;

  constructor(app) {
    this.app = app;
    this.title = h("h2", { id: "settings-title" });
    this.body = h("div", { class: "settings-parts" });
    this.error = h("p", { class: "problem", role: "alert", "data-testid": "settings-error" });
    const close = h("button", { class: "button button-1", type: "button", "data-testid": "settings-close", onclick: () => this.dialog.close() }, "Done");
    this.dialog = h("dialog", { class: "modal settings", "data-testid": "server-settings", "aria-labelledby": "settings-title" }, h("div", { class: "settings-inside" }, this.title, this.body, this.error, h("div", { class: "modal-foot" }, close)));
    document.body.append(this.dialog);
    app.state.on("places", () => this.dialog.open && this.#render());
    app.state.on("snapshot", ({ samePerson }) => (samePerson && this.#guild() ? this.#render() : this.dialog.close()));
  }

  open(guildId) {
    this.#guildId = guildId;
    this.#command = ALL;
    this.error.textContent = "";
    this.app.drawers.close();
    this.#render();
    this.dialog.showModal();
  }

  #guild() {
    return this.app.state.guilds.find((guild) => guild.id === this.#guildId);
  }

  async #do(request) {
    this.error.textContent = "";
    try {
      await request();
    } catch (refused) {
      if (!(refused instanceof requests.Refused)) throw refused;
      this.error.textContent = refused.message;
      this.#render(); // controls show again what is really set
    }
  }

  #render() {
    const guild = this.#guild();
    if (!guild) return this.dialog.close();
    const focused = this.dialog.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
    this.title.replaceChildren("Settings of ", h("bdi", {}, guild.name));
    const parts = [guild.may_set.permissions && guild.installed && this.#permissions(guild), guild.may_set.channels && this.#channels(guild), guild.may_set.app && this.#installed(guild)];
    this.body.replaceChildren(...parts.filter(Boolean));
    if (focused) (this.dialog.querySelector(`[data-testid="${CSS.escape(focused)}"]`) ?? this.dialog.querySelector("select, button")).focus();
  }

  // --- command permissions ---

  #permissions(guild) {
    const { state } = this.app;
    const commands = state.commands.filter((command) => !command.guild_id || command.guild_id === guild.id);
    if (!commands.some((command) => command.id === this.#command)) this.#command = ALL;
    const menu = h("select", { class: "menu", id: "settings-command", "data-testid": "permission-command" }, h("option", { value: ALL }, "All commands of the app"), commands.map((command) => h("option", { value: command.id }, `${command.type === 1 ? "/" : ""}${command.name}`)));
    menu.value = this.#command;
    menu.addEventListener("change", () => {
      this.#command = menu.value;
      this.#render();
    });
    const entries = this.#entries(guild);
    const targets = this.#targets(guild);
    const list = h("ul", { class: "permissions", "data-testid": "permission-list" }, entries.map((entry) => this.#entry(guild, entry, targets)));
    return h("section", {}, h("h3", {}, h("label", { for: "settings-command" }, "Who may use which commands, and where")), menu, h("p", { class: "quiet" }, this.#remark(entries)), list, this.#adder(guild, entries, targets));
  }

  #remark(entries) {
    if (entries.length) return this.#command === ALL ? "These count for every command without entries of its own." : "These count instead of those of all commands.";
    return this.#command === ALL ? "Nothing is set: everybody may use the app everywhere." : "Not set: what is set for all commands counts.";
  }

  #entries(guild) {
    return guild.command_permissions?.[this.#command || this.app.state.appId] ?? [];
  }

  /** Everything that can be allowed or denied: { type, id, label }, in groups. */
  #targets(guild) {
    const { state } = this.app;
    const channels = [...state.channels.values()].filter((it) => it.guild_id === guild.id && it.kind !== "thread");
    const typed = (type) => (it) => ({ type, id: it.value, label: it.label });
    return [
      ["Roles", rolesOf(guild).map(typed(ROLE))],
      ["People", usersOf(state, guild).map(typed(USER))],
      ["Channels", [{ type: CHANNEL, id: guild.all_channels_id, label: "All channels" }, ...channels.map((it) => ({ type: CHANNEL, id: it.id, label: titleOf(it) }))]],
    ];
  }

  #entry(guild, entry, targets) {
    const found = targets.flatMap(([, group]) => group).find((it) => it.type === entry.type && it.id === entry.id);
    const label = found?.label ?? entry.id;
    const rest = this.#entries(guild).filter((each) => each !== entry);
    const remove = h("button", { class: "link", type: "button", "aria-label": `Remove ${label}`, "data-testid": `permission-remove-${slug(label)}`, onclick: () => this.#save(guild, rest) }, "remove");
    const turn = h("select", { class: "menu narrow", "aria-label": `${label} may use it`, "data-testid": `permission-${slug(label)}` }, h("option", { value: "yes" }, "allowed"), h("option", { value: "no" }, "denied"));
    turn.value = entry.permission ? "yes" : "no";
    turn.addEventListener("change", () => this.#save(guild, [...rest, { ...entry, permission: turn.value === "yes" }]));
    return h("li", {}, h("bdi", { class: "permission-name" }, label), turn, remove);
  }

  #adder(guild, entries, targets) {
    const taken = new Set(entries.map((entry) => `${entry.type}:${entry.id}`));
    const menu = h("select", { class: "menu", "aria-label": "Whom or which channel", "data-testid": "permission-target" }, h("option", { value: "" }, "Add a role, a person or a channel…"));
    for (const [name, group] of targets) {
      const free = group.filter((it) => !taken.has(`${it.type}:${it.id}`));
      if (free.length) menu.append(h("optgroup", { label: name }, free.map((it) => h("option", { value: `${it.type}:${it.id}` }, it.label))));
    }
    const add = (permission) => {
      const [type, id] = menu.value.split(":");
      if (id) this.#save(guild, [...entries, { type: Number(type), id, permission }]);
      else menu.focus();
    };
    const button = (words, style, permission) => h("button", { class: `button ${style}`, type: "button", "data-testid": `permission-${slug(words)}`, onclick: () => add(permission) }, words);
    return h("div", { class: "panel-row" }, menu, button("Allow", "button-3", true), button("Deny", "button-4", false));
  }

  #save(guild, entries) {
    return this.#do(() => requests.setCommandPermissions(this.app.state.me.id, guild.id, this.#command, entries));
  }

  // --- channels and the app ---

  #channels(guild) {
    const { state } = this.app;
    const channels = [...state.channels.values()].filter((it) => it.guild_id === guild.id && it.kind !== "thread");
    const line = (channel) => {
      const box = h("input", { type: "checkbox", checked: channel.nsfw, "data-testid": `age-${slug(channel.name)}` });
      box.addEventListener("change", () => this.#do(() => requests.setAgeRestricted(state.me.id, channel.id, box.checked)));
      return h("label", { class: "tick" }, box, h("bdi", {}, titleOf(channel)));
    };
    const name = h("input", { type: "text", class: "menu", "aria-label": "Name of a new channel", placeholder: "new-channel", maxlength: 100, autocomplete: "off", "data-testid": "channel-new-name" });
    const nsfw = h("input", { type: "checkbox", "data-testid": "channel-new-age" });
    const form = h("form", { class: "panel-row" }, name, h("label", { class: "tick inline" }, nsfw, h("span", {}, "age-restricted")), h("button", { class: "button button-2", type: "submit", "data-testid": "channel-new" }, "Make a channel"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!slug(name.value)) return name.focus();
      this.#do(() => requests.makeChannel(state.me.id, guild.id, slug(name.value), nsfw.checked));
    });
    return h("section", {}, h("h3", {}, "Age-restricted channels"), h("fieldset", { class: "ticks columns" }, h("legend", { class: "hidden" }, "Age-restricted channels"), channels.map(line)), form);
  }

  #installed(guild) {
    const words = guild.installed ? "Remove the app from this server" : "Add the app to this server";
    const act = () => this.#do(() => requests.installApp(this.app.state.me.id, guild.id, !guild.installed));
    return h("section", {}, h("h3", {}, "The app"), h("button", { class: `button ${guild.installed ? "button-4" : "button-1"}`, type: "button", "data-testid": "app-installed", onclick: act }, words));
  }
}

/** Whether a person may set anything in a server. */
export const mayOpenSettings = (guild) => Object.values(guild.may_set).some(Boolean);
