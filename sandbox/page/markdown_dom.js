// Draws the Markdown tree. Text only becomes text nodes.
import { h } from "./dom.js";
import { fullDate, isDate, stamp } from "./clock.js";
import { parse, parseInline } from "./markdown.js";
import { titleOf } from "./places.js";
import { rolesOf } from "./selects.js";

const JUMP = /^https:\/\/(?:\w+\.)?discord\.com\/channels\/(?:\d+|@me)\/(\d+)(?:\/(\d+))?$/;

/** Draws Markdown. `app` = { state, clock }: names for ids, and the time. */
export function markdown(text, app) {
  return h("div", { class: "md", dir: "auto" }, parse(text).map((block) => drawBlock(block, app)));
}

/** Draws one line without blocks, for reply previews. */
export function markdownLine(text, app) {
  return h("span", { class: "md-line", dir: "auto" }, drawAll(parseInline(text.replace(/\s+/g, " ")), app));
}

const drawAll = (nodes, app) => nodes.map((node) => DRAW[node.type](node, app));

function drawBlock(block, app) {
  const inside = () => drawAll(block.children, app);
  if (block.type === "heading") return h("p", { class: `md-h${block.level}`, role: "heading", "aria-level": block.level + 2 }, inside());
  if (block.type === "small") return h("p", { class: "md-small" }, inside());
  if (block.type === "quote") return h("blockquote", {}, block.children.map((child) => drawBlock(child, app)));
  if (block.type === "code") return h("pre", {}, h("code", {}, block.text));
  if (block.type === "list") return drawList(block, app);
  return h("p", {}, inside());
}

function drawList(list, app) {
  const items = list.items.map((blocks) => h("li", {}, blocks.map((block) => drawBlock(block, app))));
  return list.ordered ? h("ol", { start: list.start }, items) : h("ul", {}, items);
}

const wrap = (tag) => (node, app) => h(tag, {}, drawAll(node.children, app));

const DRAW = {
  text: (node) => node.text,
  break: () => h("br"),
  strong: wrap("strong"),
  em: wrap("em"),
  u: wrap("u"),
  s: wrap("s"),
  code: (node) => h("code", {}, node.text),
  spoiler: drawSpoiler,
  everyone: (node) => h("bdi", { class: "chip" }, node.text),
  role(node, { state }) {
    const found = rolesOf(state.guild).find((role) => role.value === node.id);
    return h("bdi", { class: "chip" }, found?.label ?? "@unknown-role");
  },
  command: (node, { state }) => h("button", { class: "chip", type: "button", "data-testid": "command-mention", onclick: () => state.tell("mention", node) }, `/${node.name}`),
  user(node, { state }) {
    const name = state.people.get(node.id)?.name ?? state.names?.get(node.id) ?? "unknown-user";
    return h("bdi", { class: "chip", "data-user-id": node.id }, `@${name}`);
  },
  channel(node, { state }) {
    const channel = state.channels.get(node.id);
    if (!channel) return h("bdi", { class: "chip" }, "#no-access");
    return h("button", { class: "chip", type: "button", onclick: () => state.open(node.id) }, `#${channel.name}`);
  },
  time(node, { clock }) {
    if (!isDate(node.unix)) return node.source;
    const date = new Date(node.unix * 1000);
    const words = stamp(node.unix, node.style, clock.now());
    const props = { class: "chip chip-time", datetime: date.toISOString(), title: fullDate(date) };
    return h("time", { ...props, "data-unix": node.unix, "data-style": node.style }, words);
  },
  link(node, app) {
    const inside = JUMP.exec(node.href);
    if (inside) return drawJump(node, inside[1], inside[2], app);
    const props = { href: node.href, target: "_blank", rel: "noopener noreferrer nofollow", title: node.masked ? node.href : null };
    return h("a", props, h("bdi", {}, drawAll(node.children, app)));
  },
};

/** Draws a link to a message or channel of Discord: it opens the sandbox's own, and never another site. */
function drawJump(node, channelId, messageId, app) {
  const channel = app.state.channels.get(channelId);
  const name = channel ? `${titleOf(channel)}${messageId ? " › message" : ""}` : "#no-access";
  if (!channel) return h("bdi", { class: "chip" }, name);
  const words = node.masked ? h("bdi", {}, drawAll(node.children, app)) : name;
  return h("button", { class: node.masked ? "link" : "chip", type: "button", title: name, "data-testid": "jump", onclick: () => app.jump(channelId, messageId) }, words);
}

function drawSpoiler(node, app) {
  const cover = h("span", { class: "spoiler", role: "button", tabindex: 0, "aria-label": "Spoiler, press to reveal" });
  const inner = h("span", { class: "spoiler-inside" }, drawAll(node.children, app));
  const reveal = (event) => {
    if (cover.classList.contains("open") || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    cover.classList.add("open");
    for (const name of ["role", "tabindex", "aria-label"]) cover.removeAttribute(name);
  };
  cover.addEventListener("click", reveal);
  cover.addEventListener("keydown", reveal);
  cover.append(inner);
  return cover;
}
