// The menu of one message: the bot's message commands, delete, dismiss. Arrow keys move, Escape closes.
import { h, slug } from "./dom.js";
import { isEphemeral } from "./message.js";

const MESSAGE_COMMAND = 3;

export class MessageMenu {
  constructor(app) {
    this.app = app;
    this.node = h("div", { class: "popup menu-popup", role: "menu", "aria-label": "Message", hidden: true, onkeydown: (event) => this.#key(event) });
    document.body.append(this.node);
    document.addEventListener("pointerdown", (event) => this.node.contains(event.target) || this.close());
    addEventListener("resize", () => this.close());
  }

  open(message, anchor, at = null) {
    this.anchor = anchor;
    const items = this.#items(message);
    this.node.replaceChildren(...items);
    this.node.hidden = false;
    const box = anchor.getBoundingClientRect();
    const { x, y } = at ?? { x: box.right - this.node.offsetWidth, y: box.bottom + 4 };
    this.node.style.setProperty("left", `${Math.max(8, Math.min(x, innerWidth - this.node.offsetWidth - 8))}px`);
    this.node.style.setProperty("top", `${Math.max(8, Math.min(y, innerHeight - this.node.offsetHeight - 8))}px`);
    items[0].focus();
  }

  close(refocus = false) {
    if (this.node.hidden) return;
    this.node.hidden = true;
    if (refocus) (this.anchor.matches("button") ? this.anchor : this.anchor.querySelector("[data-testid=message-menu]"))?.focus();
  }

  #items(message) {
    const { state } = this.app;
    const commands = state.commandsIn(message.channel_id, MESSAGE_COMMAND);
    const items = isEphemeral(message) ? [] : commands.map((command) => this.#item(command.name, `menu-${slug(command.name)}`, () => this.app.messageCommand(command, message)));
    if (isEphemeral(message)) items.push(this.#item("Dismiss", "menu-dismiss", () => this.app.dismiss(message)));
    else if (mayDelete(message, state)) items.push(this.#item("Delete message", "menu-delete", () => this.app.deleteMessage(message), "danger"));
    items.push(this.#item("Copy message id", "menu-copy-id", () => navigator.clipboard?.writeText(message.id).catch(() => {})));
    return items;
  }

  #item(words, test, act, kind = "") {
    const run = () => {
      this.close(true);
      act();
    };
    return h("button", { class: `menu-item ${kind}`, type: "button", role: "menuitem", tabindex: -1, "data-testid": test, onclick: run }, h("bdi", {}, words));
  }

  #key(event) {
    const items = [...this.node.children];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") this.close(true);
    else if (to === undefined) return;
    else items.at(to % items.length).focus();
    event.preventDefault();
  }
}

/** Whether to offer Delete: to the author and to who manages messages. The sandbox checks it again. */
function mayDelete(message, state) {
  if (message.author.id === state.me.id) return true;
  return Boolean(state.channels.get(message.channel_id)?.may_delete);
}
