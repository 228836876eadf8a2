// The form of a picked command: required options first, optional ones offered; Enter sends, Escape closes.
import { h, icon } from "./dom.js";
import { commandBody } from "./commands.js";
import { OptionEditor } from "./options.js";

export class CommandForm {
  #editors = [];

  /** `send(body)` resolves when it was accepted and throws Refused when not; `leave()` puts the text field back. */
  constructor(entry, state, { send, leave }) {
    this.entry = entry;
    this.state = state;
    this.send = send;
    this.leave = leave;
    this.options = h("div", { class: "options" });
    this.offers = h("div", { class: "offers", role: "group", "aria-label": "Optional" });
    this.error = h("p", { class: "problem", role: "alert", "data-testid": "command-error" });
    this.button = h("button", { class: "icon-button send", type: "button", "aria-label": "Send command", title: "Send (Enter)", "data-testid": "send", onclick: () => this.#submit() }, icon("send"));
    const close = h("button", { class: "icon-button", type: "button", "aria-label": "Leave this command", title: "Leave (Escape)", "data-testid": "leave-command", onclick: leave }, icon("close"));
    const head = h("div", { class: "command-head" }, h("span", { class: "command-name" }, `/${entry.name}`), h("span", { class: "quiet" }, entry.description), close);
    const label = `Command /${entry.name}`;
    this.node = h("div", { class: "command-form", role: "group", "aria-label": label, "data-testid": "command-form" }, head, h("div", { class: "command-line" }, this.options, this.button), this.offers, this.error);
    this.node.addEventListener("keydown", (event) => this.#key(event));
    for (const option of entry.options.filter((each) => each.required)) this.#add(option);
    this.#offer();
  }

  focus() {
    (this.#editors[0] ?? this.offers.firstElementChild ?? this.button).focus();
  }

  #add(option) {
    const editor = new OptionEditor(option, this.state, { remove: (it) => this.#remove(it), changed: (it) => this.#after(it) });
    this.#editors.push(editor);
    this.options.append(editor.node);
    return editor;
  }

  #remove(editor) {
    const at = this.#editors.indexOf(editor);
    this.#editors.splice(at, 1);
    editor.node.remove();
    this.#offer();
    (this.#editors[at - 1] ?? this.#editors[0] ?? this.button).focus();
  }

  /** After a choice: focuses the next empty editor, else keeps the focus. */
  #after(editor) {
    const next = this.#editors.slice(this.#editors.indexOf(editor) + 1).find((each) => each.field.value === "");
    (next ?? editor).focus();
    editor.list?.hide();
  }

  #offer() {
    const used = new Set(this.#editors.map((editor) => editor.option.name));
    const left = this.entry.options.filter((option) => !option.required && !used.has(option.name));
    const button = (option) => {
      const add = () => {
        const editor = this.#add(option);
        this.#offer();
        editor.focus();
      };
      return h("button", { class: "offer", type: "button", title: option.description, "data-testid": `add-option-${option.name}`, onclick: add }, icon("plus"), option.name);
    };
    this.offers.replaceChildren(...left.map(button));
    this.offers.hidden = left.length === 0;
  }

  #key(event) {
    if (event.isComposing) return;
    const editor = this.#editors.find((each) => each.node.contains(event.target));
    if (editor?.key(event)) return;
    if (event.key === "Escape") {
      event.preventDefault();
      this.leave();
    } else if (event.key === "Enter" && !event.shiftKey && editor) {
      event.preventDefault();
      this.#submit();
    } else if (["ArrowLeft", "ArrowRight"].includes(event.key) && event.target.parentNode === this.offers) {
      const to = event.key === "ArrowLeft" ? event.target.previousElementSibling : event.target.nextElementSibling;
      to?.focus();
    }
  }

  async #submit() {
    const values = new Map();
    const wrong = this.#editors.filter((editor) => {
      const { value, error } = editor.read();
      editor.problem(error);
      if (value !== undefined) values.set(editor.option.name, value);
      return error;
    });
    if (wrong.length) return wrong[0].focus();
    this.button.disabled = true;
    try {
      await this.send(commandBody(this.entry, values));
    } catch (refused) {
      this.error.textContent = refused.message;
    } finally {
      this.button.disabled = false;
    }
  }
}
