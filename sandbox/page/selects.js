// Select menus of messages and forms: a native menu for one value, checkboxes for several.
import { h, slug } from "./dom.js";
import { titleOf } from "./places.js";

const STRING = 3;
const USER = 5;
const MENTIONABLE = 7;
const CHANNEL = 8;

/** The channels of the open server, of some types only where a select names them. */
function channelsOf(state, types) {
  const here = [...state.channels.values()].filter((it) => it.guild_id && it.guild_id === state.channel?.guild_id);
  return here.filter((it) => !types?.length || types.includes(it.type)).map((it) => ({ label: titleOf(it), value: it.id }));
}

/** The people to pick from: a server's members, elsewhere everybody; the bot as well. */
export function usersOf(state, guild = state.guild) {
  const people = [...state.people.values()].map((it) => ({ label: it.name, value: it.id }));
  const members = guild ? people.filter((it) => guild.members.includes(it.value)) : people;
  return !guild || guild.has_bot ? [...members, { label: "Qwen Imagine (bot)", value: state.appId }] : members;
}

export const rolesOf = (guild) => (guild?.roles ?? []).map((it) => ({ label: it.name.startsWith("@") ? it.name : `@${it.name}`, value: it.id }));

/** What can be picked: { label, value, description }. */
export function choicesOf(select, state) {
  if (select.type === STRING) return select.options ?? [];
  if (select.type === CHANNEL) return channelsOf(state, select.channel_types);
  if (select.type === USER) return usersOf(state);
  return select.type === MENTIONABLE ? [...usersOf(state), ...rolesOf(state.guild)] : rolesOf(state.guild);
}

function defaultsOf(select) {
  const fixed = (select.default_values ?? []).map((each) => String(each.id));
  return new Set([...fixed, ...(select.options ?? []).filter((each) => each.default).map((each) => each.value)]);
}

/** Draws a select of a message: one value is sent at once, several by a button. */
export function drawSelect(select, message, app) {
  const choices = choicesOf(select, app.state);
  const test = `select-${slug(select.placeholder ?? select.custom_id)}`;
  const send = (values, node) => app.press(message.id, select, values, node);
  if ((select.max_values ?? 1) <= 1) {
    const node = drawMenu(select, choices, { "data-testid": test, disabled: select.disabled, "aria-label": select.placeholder ?? "Choose" });
    node.addEventListener("change", () => (node.value !== "" || select.min_values === 0) && send(node.value === "" ? [] : [node.value], node));
    node.addEventListener("keydown", openByKey);
    return h("div", { class: "menu-box" }, node, drawDescription(node, choices));
  }
  const ticks = drawTicks(select, choices, select.placeholder ?? "Choose");
  if (select.disabled) ticks.node.disabled = true;
  const button = h("button", { class: "button button-2", type: "button", disabled: select.disabled }, "Send choice");
  button.addEventListener("click", () => {
    const values = ticks.read();
    const problem = countProblem(values.length, select);
    ticks.problem(problem);
    if (!problem) send(values, button);
  });
  const chosen = defaultsOf(select);
  const picked = choices.filter((it) => chosen.has(it.value)).map((it) => it.label);
  const shown = picked.join(", ") || (select.placeholder ?? "Choose"); // as Discord's client shows a closed list
  return h("details", { class: "ticks-menu", "data-testid": test }, h("summary", {}, shown), ticks.node, button);
}

/** Opens a message's menu by an arrow key: closed, each arrow key would choose and so send at once. */
function openByKey(event) {
  if (!["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"].includes(event.key)) return;
  event.preventDefault();
  event.target.showPicker();
}

export function drawMenu(select, choices, props) {
  const chosen = defaultsOf(select);
  const menu = h("select", { class: "menu", ...props });
  const mayBeEmpty = chosen.size === 0 || select.min_values === 0 || select.required === false;
  if (mayBeEmpty) menu.append(h("option", { value: "" }, select.placeholder ?? "Choose…"));
  for (const choice of choices) {
    menu.append(h("option", { value: choice.value, selected: chosen.has(choice.value), title: choice.description }, choice.label));
  }
  menu.value = [...chosen][0] ?? "";
  return menu;
}

/** Draws the chosen option's description below its menu; in the menu itself it would be cut off. */
export function drawDescription(menu, choices) {
  const line = h("p", { class: "quiet", "aria-live": "polite" });
  const tell = () => (line.textContent = choices.find((choice) => choice.value === menu.value)?.description ?? "");
  menu.addEventListener("change", tell);
  tell();
  return line;
}

export function drawTicks(select, choices, label, kind = "checkbox") {
  const chosen = defaultsOf(select);
  const name = `ticks-${select.custom_id}`;
  const boxes = choices.map((choice) => h("input", { type: kind, name, value: choice.value, checked: chosen.has(choice.value), "data-testid": `choice-${slug(choice.label)}` }));
  const error = h("p", { class: "problem", role: "alert" });
  const counted = kind === "checkbox" && select.max_values > 1 ? h("p", { class: "quiet" }, rangeOf(select)) : null;
  const rows = choices.map((choice, index) => h("label", { class: "tick" }, boxes[index], h("span", {}, choice.label, choice.description ? h("span", { class: "quiet" }, choice.description) : null)));
  return {
    node: h("fieldset", { class: "ticks" }, h("legend", { class: "hidden" }, label), counted, rows, error),
    read: () => boxes.filter((box) => box.checked).map((box) => box.value),
    problem: (words) => (error.textContent = words ?? ""),
    clear: () => boxes.forEach((box) => (box.checked = false)),
    focus: () => (boxes.find((box) => box.checked) ?? boxes[0])?.focus(),
  };
}

function rangeOf({ min_values, max_values }) {
  const least = min_values ?? 1;
  return least === max_values ? `Choose ${least}.` : least > 0 ? `Choose ${least} to ${max_values}.` : `Choose up to ${max_values}.`;
}

/** What is wrong with this many picks, or null. */
export function countProblem(count, select) {
  const least = select.min_values ?? 1;
  const most = select.max_values ?? 1;
  if (count < least) return `Choose at least ${least}.`;
  if (count > most) return `Choose at most ${most}.`;
  return null;
}
