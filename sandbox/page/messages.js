// The messages of the open channel: in order, changed in place, scrolled to the end only while the reader is there.
import { arrange, h } from "./dom.js";
import { dayOf } from "./clock.js";
import { MessageView, drawAvatar, isEphemeral } from "./message.js";
import { titleOf } from "./places.js";

const GROUP_WITHIN_MS = 7 * 60 * 1000;
const NEAR_PX = 48;
const HIGHLIGHT_MS = 1800;

export class MessageList {
  #views = new Map();
  #days = new Map();
  #pinned = true;
  #stayedAt = "";
  #scheduled = false;

  constructor(root, app) {
    this.app = app;
    this.list = h("ol", { class: "list" });
    this.root = root;
    root.append(this.list);
    root.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#stay()).observe(this.list);
    new ResizeObserver(() => this.#stay()).observe(root);
    root.addEventListener("contextmenu", (event) => this.#menu(event));
    const { state } = app;
    state.on("snapshot", () => this.#startOver());
    state.on("channel", () => this.#startOver());
    state.on("messages", ({ channelId }) => channelId === state.channelId && this.#soon());
    state.on("interaction", () => this.#soon());
    state.on("wrote", () => this.#goToEnd());
  }

  /** Scrolls to a message of the open channel and highlights it for a moment; false when it is not there. */
  reveal(messageId) {
    const node = this.#views.get(messageId)?.node;
    if (!node) return false;
    this.#pinned = false;
    node.scrollIntoView({ block: "center" });
    node.focus({ preventScroll: true });
    node.classList.add("highlighted");
    setTimeout(() => node.classList.remove("highlighted"), HIGHLIGHT_MS);
    return true;
  }

  #nearBottom() {
    return this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < NEAR_PX;
  }

  #size() {
    return `${this.root.scrollHeight} ${this.root.clientHeight}`;
  }

  /** Unpins the list when the reader scrolls up; a scroll that a change of layout causes does not count. */
  #scrolled() {
    if (this.#nearBottom()) this.#pinned = true;
    else if (this.#size() === this.#stayedAt) this.#pinned = false;
  }

  #stay() {
    if (this.#pinned) this.root.scrollTop = this.root.scrollHeight;
    this.#stayedAt = this.#size();
  }

  /** After a message or a command of one's own. */
  #goToEnd() {
    this.#pinned = true;
    this.#stay();
  }

  #startOver() {
    this.#views.clear();
    this.#pinned = true;
    this.render();
  }

  #soon() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#scrolled(); // the reader may have scrolled in this frame: the event for it comes later
      this.render();
    });
  }

  #menu(event) {
    const node = event.target.closest?.(".message");
    const view = node && [...this.#views.values()].find((each) => each.node === node);
    if (!view || event.target.closest("a, img")) return;
    event.preventDefault();
    this.app.menu.open(view.message, view.node, { x: event.clientX, y: event.clientY });
  }

  render() {
    const { state } = this.app;
    if (!state.channel) return;
    const messages = state.messagesOf(state.channelId);
    const failures = this.#failures();
    const nodes = [];
    let before = null;
    for (const message of messages) {
      const day = dayOf(new Date(message.timestamp));
      const newDay = !before || dayOf(new Date(before.timestamp)) !== day;
      if (newDay) nodes.push(this.#day(day));
      const view = this.#views.get(message.id) ?? new MessageView(this.app);
      this.#views.set(message.id, view);
      view.update(message, { compact: !newDay && follows(before, message), failure: failures.get(message.id) });
      nodes.push(view.node);
      before = message;
    }
    const ids = new Set(messages.map((message) => message.id));
    for (const id of this.#views.keys()) if (!ids.has(id)) this.#views.delete(id);
    arrange(this.list, [...(messages.length ? [] : [this.#emptyChannel()]), ...nodes, ...this.#waiting()]);
    this.#stay();
  }

  #day(words) {
    if (!this.#days.has(words)) this.#days.set(words, h("li", { class: "day" }, h("span", {}, words)));
    return this.#days.get(words);
  }

  #emptyChannel() {
    const { channel } = this.app.state;
    const name = titleOf(channel);
    return h("li", { class: "empty-channel" }, h("p", { class: "md-h2" }, h("bdi", {}, name)), h("p", { class: "quiet" }, "Nothing here yet. Type / and choose a command, for example /imagine."));
  }

  /** Failed interactions of controls on a message: message id -> sentence. */
  #failures() {
    const { interactions, presses } = this.app.state;
    const found = new Map();
    for (const [id, messageId] of presses) {
      const it = interactions.get(id);
      if (it?.state === "failed") found.set(messageId, it.error ?? "The application did not respond");
    }
    return found;
  }

  /** Commands without an answer, pending or failed, as lines at the end. */
  #waiting() {
    const { state } = this.app;
    return [...state.interactions.values()]
      .filter((it) => it.channel_id === state.channelId && it.state !== "answered" && it.command_name && !state.presses.has(it.interaction_id))
      .map((it) => this.#waitingLine(it));
  }

  #waitingLine(it) {
    const { state } = this.app;
    const failed = it.state === "failed";
    const dismiss = h("button", { class: "link", type: "button", onclick: () => state.forget(it.interaction_id) }, "dismiss");
    const words = failed ? [h("span", { class: "problem", role: "alert" }, it.error ?? "The application did not respond"), " · ", dismiss] : [h("span", { class: "thinking" }, "Sending command", h("span", { class: "dots", "aria-hidden": "true" }))];
    const above = h("div", { class: "above" }, drawAvatar(state.me, state), h("b", {}, h("bdi", {}, state.me.name)), " used ", h("span", { class: "used-name" }, `/${it.command_name}`));
    return h("li", { class: "message waiting", "data-testid": failed ? "interaction-failed" : "interaction-sent" }, above, h("span", { class: "gutter" }), h("div", { class: "main" }, h("p", { class: failed ? "below" : "" }, words)));
  }
}

/** Whether a message follows one of the same author closely, and so needs no head line. */
function follows(before, message) {
  if (before.author.id !== message.author.id || isEphemeral(before) !== isEphemeral(message)) return false;
  if (message.message_reference || message.interaction_metadata?.name || message.interaction) return false;
  return Date.parse(message.timestamp) - Date.parse(before.timestamp) < GROUP_WITHIN_MS;
}
