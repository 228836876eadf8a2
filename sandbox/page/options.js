// One editor for each option of a command: text with a counter, a list of choices, a number, yes or no.
import { h, icon, slug } from "./dom.js";
import { OPTION, checkOption, choicesFor, rangeWords } from "./commands.js";
import { Picklist } from "./picklist.js";

/** Edits one option. `remove(editor)` is called for Backspace in an empty optional one, `changed(editor)` after a choice. */
export class OptionEditor {
  constructor(option, state, { remove, changed }) {
    this.option = option;
    this.choices = choicesFor(option, state);
    this.remove = remove;
    this.changed = changed;
    this.errorId = `error-${option.name}`;
    this.field = this.#field();
    this.counter = option.type === OPTION.STRING && !this.choices ? h("span", { class: "counter", "aria-hidden": "true" }) : null;
    this.error = h("p", { class: "problem", id: this.errorId, role: "alert", "data-testid": `error-${option.name}` });
    this.list = this.choices ? this.#picklist() : null;
    const close = option.required ? null : h("button", { class: "icon-button small", type: "button", tabindex: -1, "aria-label": `Remove ${option.name}`, onclick: () => remove(this) }, icon("close"));
    const pill = h("div", { class: "pill" }, h("label", { for: this.field.id, title: option.description }, option.name), h("div", { class: "pill-field" }, this.field, this.list?.node), this.counter, close);
    this.node = h("div", { class: "option", "data-testid": `option-box-${option.name}` }, pill, this.error);
    this.#count();
  }

  #field() {
    const { option } = this;
    const props = { id: `option-${option.name}`, "data-testid": `option-${option.name}`, "aria-describedby": this.errorId, "aria-required": option.required ? "true" : null, autocomplete: "off", spellcheck: "false" };
    const hint = this.choices ? "choose…" : option.type === OPTION.STRING ? option.description : `number${rangeWords(option)}`;
    const long = option.type === OPTION.STRING && !this.choices;
    const field = h(long ? "textarea" : "input", { ...props, placeholder: hint, rows: long ? 1 : null, type: long ? null : "text", inputmode: option.type === OPTION.INTEGER ? "numeric" : null });
    field.addEventListener("input", () => this.#typed());
    field.addEventListener("focus", () => this.choices && this.#open(""));
    field.addEventListener("blur", () => this.#left());
    return field;
  }

  #picklist() {
    const take = (choice) => {
      this.field.value = choice.label;
      this.list.hide();
      this.#typed(false);
      this.changed(this);
    };
    return new Picklist(this.field, { label: this.option.name, take, draw: (choice) => choice.label, test: (choice) => `choice-${slug(choice.label)}` });
  }

  #open(words) {
    const wanted = words.trim().toLowerCase();
    const found = this.choices.filter((choice) => choice.label.toLowerCase().includes(wanted));
    this.list.show(found, Math.max(0, found.findIndex((choice) => choice.label === this.field.value)));
  }

  #typed(open = true) {
    this.problem(null);
    this.#count();
    if (this.choices && open) this.#open(this.field.value);
  }

  #left() {
    this.list?.hide();
    if (this.field.value !== "") this.problem(this.read().error);
  }

  #count() {
    if (!this.counter) return;
    const most = this.option.max_length ?? 6000;
    const length = [...this.field.value].length;
    this.counter.textContent = `${length}/${most}`;
    this.counter.classList.toggle("over", length > most);
  }

  /** { value }, { error } or {}. */
  read() {
    const { option, field } = this;
    const typed = field.value;
    if (!option.choices?.length && option.type !== OPTION.BOOLEAN && this.choices && typed !== "") {
      const found = this.choices.find((choice) => choice.label.toLowerCase() === typed.trim().toLowerCase());
      return found ? { value: found.value } : { error: `${option.name}: choose one from the list.` };
    }
    return checkOption(option, typed);
  }

  problem(words) {
    this.error.textContent = words ?? "";
    this.field.setAttribute("aria-invalid", words ? "true" : "false");
    this.node.classList.toggle("wrong", Boolean(words));
  }

  focus() {
    this.field.focus();
  }

  /** Handles a key; true when it was used here. */
  key(event) {
    if (this.list?.key(event)) return true;
    if (event.key === "ArrowDown" && this.choices && !this.list.open) {
      this.#open("");
      return true;
    }
    if (event.key === "Backspace" && this.field.value === "" && !this.option.required) {
      event.preventDefault();
      this.remove(this);
      return true;
    }
    return false;
  }
}
