// The sidebar: the people to act as, and the channels grouped by server.
import { h, icon, slug } from "./dom.js";
import { KIND_ICON, badgesOf, inTree, serverNote } from "./places.js";
import { mayOpenSettings } from "./settings.js";

const ROLE_WORDS = { member: "member", moderator: "moderator", owner: "owns the bot", admin: "administers a server" };

export class Sidebar {
  constructor(root, app) {
    this.app = app;
    this.people = h("div", { class: "people", role: "radiogroup", "aria-label": "Who you are" });
    this.you = h("p", { class: "you", "data-testid": "me" });
    this.roles = h("ul", { class: "my-roles quiet", "aria-label": "Your roles", "data-testid": "my-roles" });
    this.channels = h("nav", { class: "channels", "aria-label": "Channels" });
    root.append(h("section", { class: "who" }, h("p", { class: "caption" }, "You are"), this.people, this.you, this.roles), this.channels);
    this.people.addEventListener("keydown", (event) => this.#arrow(event));
    const { state } = app;
    state.on("snapshot", () => this.render());
    state.on("places", () => this.#renderPeople());
    for (const what of ["channel", "unread", "places"]) state.on(what, () => this.#renderChannels());
  }

  render() {
    this.#renderPeople();
    this.#renderChannels();
  }

  #renderPeople() {
    const { state } = this.app;
    const focused = this.people.contains(document.activeElement);
    const buttons = [...state.people.values()].map((person) => this.#person(person, person.id === state.me.id));
    this.people.replaceChildren(...buttons);
    this.you.replaceChildren(h("b", {}, h("bdi", {}, state.me.name)), ` · ${ROLE_WORDS[state.me.role] ?? state.me.role}`);
    this.roles.replaceChildren(...state.guilds.flatMap(rolesIn));
    if (focused) this.people.querySelector("[aria-checked=true]").focus();
  }

  #person(person, chosen) {
    const label = `${person.name}, ${ROLE_WORDS[person.role] ?? person.role}`;
    const props = { class: "person", type: "button", role: "radio", "aria-checked": String(chosen), "aria-label": label, title: label, tabindex: chosen ? 0 : -1 };
    const avatar = h("span", { class: "avatar", "aria-hidden": "true", style: { "--person": person.color } }, person.initials);
    return h("button", { ...props, "data-testid": `person-${slug(person.name)}`, onclick: () => chosen || this.app.switchPerson(person) }, avatar);
  }

  /** Moves the choice by arrow keys, as in any group of radio buttons. */
  #arrow(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...this.people.children];
    const at = all.indexOf(document.activeElement);
    const next = all[(at + step + all.length) % all.length];
    next.focus();
    next.click();
  }

  #renderChannels() {
    const { state } = this.app;
    const all = [...state.channels.values()];
    const focused = this.channels.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
    const groups = state.guilds.map((guild) => this.#group(guild.name, serverNote(guild), inTree(all.filter((it) => it.guild_id === guild.id)), this.#settings(guild)));
    const direct = all.filter((it) => !it.guild_id);
    if (direct.length) groups.push(this.#group("Direct messages", null, direct));
    this.channels.replaceChildren(...groups);
    if (focused) this.channels.querySelector(`[data-testid="${focused}"]`)?.focus();
  }

  #settings(guild) {
    if (!mayOpenSettings(guild)) return null;
    const label = `Settings of ${guild.name}`;
    return h("button", { class: "icon-button small", type: "button", "aria-label": label, title: label, "aria-haspopup": "dialog", "data-testid": `settings-${slug(guild.name)}`, onclick: () => this.app.settings.open(guild.id) }, icon("tools"));
  }

  #group(name, remark, channels, settings = null) {
    const head = h("div", { class: "caption" }, h("h2", { class: "caption" }, h("bdi", {}, name)), remark ? h("span", { class: "badge warn" }, remark) : null, settings);
    return h("section", { class: "guild" }, head, h("ul", {}, channels.map((channel) => h("li", {}, this.#channel(channel)))));
  }

  /** Draws a forum as a heading: only its posts can be opened. */
  #channel(channel) {
    const { state } = this.app;
    const here = channel.id === state.channelId;
    const unread = state.unread.get(channel.id);
    const badges = badgesOf(channel).map(({ words, short }) => h("span", { class: "badge warn", title: words }, short));
    const pings = unread?.pings ? h("span", { class: "badge ping", "aria-label": `${unread.pings} ${unread.pings === 1 ? "mention" : "mentions"}` }, unread.pings) : null;
    const inside = [icon(KIND_ICON[channel.kind] ?? "hash"), h("bdi", { class: "channel-name" }, channel.name)];
    if (channel.kind === "forum") return h("p", { class: "channel forum", title: channel.topic, "data-testid": `channel-${slug(channel.name)}` }, inside, h("span", { class: "caption" }, "forum"));
    const props = { class: `channel ${channel.parent_id ? "nested" : ""} ${unread ? "unread" : ""}`, type: "button", "aria-current": here ? "page" : null, "data-testid": `channel-${slug(channel.name)}` };
    return h("button", { ...props, onclick: () => this.app.openChannel(channel.id) }, inside, pings, badges);
  }
}

/** A person's roles in a server, as a line. */
function rolesIn(guild) {
  const names = guild.roles.filter((role) => guild.my_roles.includes(role.id)).map((role) => role.name);
  return names.length ? [h("li", {}, h("bdi", {}, `${names.join(", ")} in ${guild.name}`))] : [];
}
