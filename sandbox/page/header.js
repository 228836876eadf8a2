// The bar over the messages: the channel, what is special about it, and the two drawers of a narrow screen.
import { h, icon } from "./dom.js";
import { aboutOf, badgesOf, channelNote, titleOf } from "./places.js";

export function startHeader(root, app) {
  const { state } = app;
  const drawerButton = (name, label, test, which) =>
    h("button", { class: `icon-button drawer-${which}`, type: "button", "aria-label": label, title: label, "data-testid": test, "aria-expanded": "false", "aria-controls": which, onclick: (event) => app.drawers.toggle(which, event.currentTarget) }, icon(name));
  const title = h("h1", { class: "title" });
  const about = h("p", { class: "topic" });
  const render = () => {
    const { channel } = state;
    if (!channel) return;
    const guild = state.guilds.find((it) => it.id === channel.guild_id);
    const words = badgesOf(channel).map((badge) => badge.words);
    const remark = channelNote(channel, guild);
    if (remark) words.push(remark);
    title.replaceChildren(titleOf(channel) === channel.name ? "" : h("span", { class: "quiet" }, "#"), h("bdi", {}, channel.name));
    about.replaceChildren(...words.map((each) => h("span", { class: "badge warn" }, each)), h("span", { dir: "auto" }, aboutOf(channel, state.channels.get(channel.parent_id))));
    document.title = `${titleOf(channel)} · Qwen Imagine sandbox`;
    document.getElementById("messages").setAttribute("aria-label", `Messages in ${channel.name}`);
  };
  root.append(drawerButton("menu", "People and channels", "open-sidebar", "sidebar"), h("div", { class: "where" }, title, about), drawerButton("tools", "Simulated faults", "open-panel", "panel"));
  state.on("snapshot", render);
  state.on("channel", render);
  state.on("places", render);
}

/** On narrow screens sidebar and panel are drawers: one open at a time, closed by Escape or a click beside it. */
export class Drawers {
  #button = null;

  constructor(shade) {
    this.shade = shade;
    shade.addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#button && this.close());
  }

  toggle(which, button) {
    const open = document.body.dataset.drawer === which;
    this.close();
    if (open) return;
    document.body.dataset.drawer = which;
    this.shade.hidden = false;
    this.#button = button;
    button.setAttribute("aria-expanded", "true");
    document.querySelector(`#${which} :is([aria-checked=true], button, select)`)?.focus();
  }

  close() {
    delete document.body.dataset.drawer;
    this.shade.hidden = true;
    this.#button?.setAttribute("aria-expanded", "false");
    this.#button?.focus();
    this.#button = null;
  }
}
