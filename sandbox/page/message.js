// One message: head line, body, the note that only you can see it, and the error of a failed interaction.
import { arrange, h, icon } from "./dom.js";
import { dayOf, fullDate, timeOf } from "./clock.js";
import { drawComponents } from "./components.js";
import { drawEmbed } from "./embeds.js";
import { markdown, markdownLine } from "./markdown_dom.js";
import { drawFile, drawGallery, mediumOf } from "./media.js";
import { EPHEMERAL, LOADING } from "./state.js";

const V2 = 1 << 15;

export const isEphemeral = (message) => Boolean(message.x_sandbox?.ephemeral || message.flags & EPHEMERAL);
export const isLoading = (message) => Boolean(message.x_sandbox?.loading || message.flags & LOADING);

/** The avatar of a person or the bot: initials on their colour. */
export function drawAvatar(user, state) {
  const person = state.people.get(user.id);
  const name = person?.name ?? user.global_name ?? user.username ?? "?";
  const node = h("span", { class: `avatar ${user.bot ? "avatar-bot" : ""}`, "aria-hidden": "true" }, person?.initials ?? (user.bot ? "◆" : name.slice(0, 1).toUpperCase()));
  if (person) node.style.setProperty("--person", person.color);
  return node;
}

export function nameOf(user, state) {
  return state.people.get(user.id)?.name ?? user.global_name ?? user.username ?? "someone";
}

/** Keeps one message's node up to date; only what changed is drawn anew. */
export class MessageView {
  #cache = new Map();
  #drawn = "";

  constructor(app) {
    this.app = app;
    this.node = h("li", { class: "message", "data-testid": "message", tabindex: -1 });
  }

  update(message, { compact, failure }) {
    const { state } = this.app;
    const pinged = state.pinged.has(message.id) || (message.mentions ?? []).some((user) => user.id === state.me.id);
    const reply = message.message_reference ? this.#referenced(message) : null;
    const written = JSON.stringify([message, compact, failure, pinged, reply, state.me.id]);
    if (written === this.#drawn) return;
    this.#drawn = written;
    this.message = message;
    this.node.className = ["message", compact && "compact", pinged && "pinged", isEphemeral(message) && "ephemeral"].filter(Boolean).join(" ");
    for (const [key, value] of Object.entries({ messageId: message.id, author: message.author.username, ephemeral: isEphemeral(message), loading: isLoading(message) })) this.node.dataset[key] = value;
    const focus = this.#focused();
    arrange(this.node, [reply, this.#used(message), ...this.#frame(message, compact), this.#private(message), this.#failure(failure), this.#more()].filter(Boolean).map((part) => toNode(part, this.app)));
    focus?.();
  }

  /** Returns a function that focuses the same control again after the message was drawn anew, by its custom id. */
  #focused() {
    const active = document.activeElement;
    if (!this.node.contains(active) || active === this.node) return null;
    const { customId, testid } = active.dataset;
    return () => {
      if (this.node.contains(document.activeElement)) return;
      const same = [...this.node.querySelectorAll("button, a, select")].find((each) => (customId ? each.dataset.customId === customId : each.dataset.testid === testid));
      (same ?? this.node).focus({ preventScroll: true });
    };
  }

  #referenced(message) {
    const { state } = this.app;
    const found = state.findMessage(message.message_reference.message_id); // not the copy in the reply, which stays when the message is deleted
    if (!found) return { gone: true };
    return { name: nameOf(found.author, state), text: found.content || (found.flags & LOADING ? "…" : "Press to see the message"), id: found.id, channelId: found.channel_id };
  }

  #used(message) {
    const used = message.interaction_metadata ?? message.interaction;
    if (!used?.name || !used.user) return null;
    const { state } = this.app;
    const prefix = used.type === 3 || used.command_type === 3 ? "" : "/";
    return h("div", { class: "above", "data-testid": "used-line" }, drawAvatar(used.user, state), h("b", {}, h("bdi", {}, nameOf(used.user, state))), " used ", h("span", { class: "used-name" }, `${prefix}${used.name}`));
  }

  #frame(message, compact) {
    const { state } = this.app;
    const date = new Date(message.timestamp);
    const head = h("div", { class: "head" }, h("b", { class: "author" }, h("bdi", {}, nameOf(message.author, state))), message.author.bot ? h("span", { class: "badge app" }, "APP") : null, h("time", { class: "when", datetime: date.toISOString(), title: fullDate(date) }, this.#when(date)));
    this.body ??= h("div", { class: "body" });
    arrange(this.body, this.#content(message));
    return [compact ? h("span", { class: "gutter", title: fullDate(date) }, timeOf(date)) : drawAvatar(message.author, state), h("div", { class: "main" }, compact ? null : head, this.body)];
  }

  #when(date) {
    const today = dayOf(new Date(this.app.clock.now()));
    return dayOf(date) === today ? timeOf(date) : `${dayOf(date)}, ${timeOf(date)}`;
  }

  #content(message) {
    const { app } = this;
    if (isLoading(message)) return [h("p", { class: "thinking", "data-testid": "thinking" }, `${nameOf(message.author, app.state)} is thinking`, h("span", { class: "dots", "aria-hidden": "true" }))];
    const nodes = [];
    if (message.content) nodes.push(markdown(message.content, app));
    if (!(message.flags & V2)) nodes.push(...this.#attachments(message), ...(message.embeds ?? []).map((embed) => drawEmbed(embed, message, app)));
    nodes.push(...drawComponents(message.components ?? [], message, this.#cache, app));
    if (!nodes.length) nodes.push(h("p", { class: "quiet" }, "(nothing to show)"));
    return nodes;
  }

  #attachments(message) {
    const media = (message.attachments ?? []).map((each) => mediumOf(each, message));
    const images = media.filter((medium) => medium.image);
    const files = media.filter((medium) => !medium.image).map(drawFile);
    return images.length ? [drawGallery(images, this.app), ...files] : files;
  }

  #private(message) {
    if (!isEphemeral(message)) return null;
    const dismiss = h("button", { class: "link", type: "button", "data-testid": "dismiss", onclick: () => this.app.dismiss(message) }, "dismiss");
    return h("div", { class: "below", "data-testid": "only-you" }, icon("eye"), "Only you can see this · ", dismiss);
  }

  #failure(failure) {
    return failure ? h("div", { class: "below problem", role: "alert", "data-testid": "failure" }, failure) : null;
  }

  #more() {
    this.more ??= h("button", { class: "icon-button more", type: "button", "aria-label": "Message menu", title: "Message menu", "aria-haspopup": "menu", "data-testid": "message-menu", onclick: () => this.app.menu.open(this.message, this.more) }, icon("dots"));
    return this.more;
  }
}

/** Returns the line of a reply as a node; a node is returned as it is. */
function toNode(part, app) {
  if (part instanceof Node) return part;
  if (part.gone) return h("div", { class: "above" }, icon("reply"), h("i", {}, "The first message was deleted."));
  return drawReply(part, app);
}

function drawReply({ name, text, id, channelId }, app) {
  const jump = () => app.jump(channelId, id);
  return h("button", { class: "above reply", type: "button", "data-testid": "reply-line", onclick: jump }, icon("reply"), h("b", {}, h("bdi", {}, name)), h("span", { class: "reply-text" }, text.slice(0, 200)));
}
