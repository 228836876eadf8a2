// A list below (or above) a text field, for the commands and for the choices of options.
import { h } from "./dom.js";

let count = 0;

/** The list of one field: arrow keys move, Enter or Tab choose, the field keeps the focus (ARIA's combobox pattern). */
export class Picklist {
  #items = [];
  #at = -1;

  /** `take(item)` when one is chosen; `draw(item)` gives its children; `test(item)` its test id. */
  constructor(field, { label, take, draw, test }) {
    this.field = field;
    this.take = take;
    this.draw = draw;
    this.test = test;
    this.id = `list-${(count += 1)}`;
    this.node = h("ul", { class: "popup picklist", id: this.id, role: "listbox", "aria-label": label, hidden: true });
    for (const [key, value] of [["role", "combobox"], ["aria-controls", this.id], ["aria-expanded", "false"], ["aria-autocomplete", "list"]]) field.setAttribute(key, value);
  }

  get open() {
    return !this.node.hidden;
  }

  show(items, at = 0) {
    this.#items = items;
    this.node.replaceChildren(...items.map((item, index) => this.#row(item, index)));
    this.node.hidden = items.length === 0;
    this.field.setAttribute("aria-expanded", String(this.open));
    this.#move(items.length ? at : -1);
  }

  hide() {
    this.node.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }

  #row(item, index) {
    const take = (event) => {
      event.preventDefault(); // the field keeps the focus
      this.take(item);
    };
    return h("li", { class: "pick", id: `${this.id}-${index}`, role: "option", "aria-selected": "false", "data-testid": this.test(item), onpointerdown: (event) => event.preventDefault(), onclick: take }, this.draw(item));
  }

  #move(to) {
    this.node.children[this.#at]?.setAttribute("aria-selected", "false");
    this.#at = to;
    const row = this.node.children[to];
    if (!row) return this.field.removeAttribute("aria-activedescendant");
    row.setAttribute("aria-selected", "true");
    row.scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", row.id);
  }

  /** Handles a key of the field; true when the list used it. */
  key(event) {
    if (!this.open || event.isComposing) return false;
    const length = this.#items.length;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) this.#move((this.#at + steps[event.key] + length) % length);
    else if (["Enter", "Tab"].includes(event.key) && !event.shiftKey && this.#items[this.#at]) this.take(this.#items[this.#at]);
    else if (event.key === "Escape") this.hide();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }
}
