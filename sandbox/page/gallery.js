// The large view: one image at a time over the page, with arrows to the others, its alt text and a download link.
import { h, icon } from "./dom.js";

export class Gallery {
  #media = [];
  #index = 0;

  constructor() {
    this.image = h("img", { "data-testid": "large-image", onclick: () => this.dialog.classList.toggle("actual") });
    this.caption = h("p", { class: "large-caption", dir: "auto", "data-testid": "large-caption" });
    this.count = h("span", { class: "quiet" });
    this.keep = h("a", { class: "button button-2", "data-testid": "large-download" }, icon("download"), "Download");
    this.previous = this.#button("previous", "Previous image", () => this.#move(-1));
    this.next = this.#button("next", "Next image", () => this.#move(1));
    this.close = this.#button("close", "Close", () => this.dialog.close());
    const actual = h("button", { class: "button button-2", type: "button", onclick: () => this.dialog.classList.toggle("actual") }, "Actual size");
    const bar = h("div", { class: "large-bar" }, this.count, actual, this.keep, this.close);
    const area = h("div", { class: "large-area" }, this.previous, h("div", { class: "large-frame" }, this.image), this.next);
    this.dialog = h("dialog", { class: "large", "aria-label": "Image", "data-testid": "large-view", onkeydown: (event) => this.#key(event) }, bar, area, this.caption);
    area.addEventListener("click", (event) => event.target.closest("img, button") || this.dialog.close());
    document.body.append(this.dialog);
  }

  #button(name, label, onclick) {
    return h("button", { class: "icon-button", type: "button", "aria-label": label, title: label, "data-testid": `large-${name}`, onclick }, icon(name));
  }

  show(media, index) {
    this.#media = media.filter((medium) => medium.address);
    this.#index = this.#media.indexOf(media[index]);
    this.#draw();
    this.dialog.showModal();
    this.close.focus();
  }

  #move(by) {
    this.#index = (this.#index + by + this.#media.length) % this.#media.length;
    this.#draw();
  }

  #draw() {
    const medium = this.#media[this.#index];
    const several = this.#media.length > 1;
    this.dialog.classList.remove("actual");
    this.image.src = medium.address;
    this.image.alt = medium.alt;
    this.caption.textContent = medium.alt;
    this.count.textContent = several ? `${this.#index + 1} of ${this.#media.length}` : "";
    this.keep.href = medium.address;
    this.keep.download = medium.filename;
    this.previous.hidden = !several;
    this.next.hidden = !several;
  }

  #key(event) {
    if (this.#media.length < 2 || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    this.#move(event.key === "ArrowLeft" ? -1 : 1);
  }
}
