// The Markdown tree as DOM nodes: names as chips, times that count, spoilers that open. Text only ever becomes text nodes.
import { h } from "./dom.js";
import { fullDate, isDate, stamp } from "./clock.js";
import { parse, parseInline } from "./markdown.js";
import { titleOf } from "./places.js";

const JUMP = /^https:\/\/(?:\w+\.)?discord\.com\/channels\/(?:\d+|@me)\/(\d+)(?:\/(\d+))?$/;

/** `world` = { state, clock }: who and where the ids are, and what time it is. */
export function markdown(text, world) {
  return h("div", { class: "md", dir: "auto" }, parse(text).map((block) => drawBlock(block, world)));
}

/** One line without blocks, for reply previews and small places. */
export function markdownLine(text, world) {
  return h("span", { class: "md-line", dir: "auto" }, drawAll(parseInline(text.replace(/\s+/g, " ")), world));
}

const drawAll = (nodes, world) => nodes.map((node) => DRAW[node.type](node, world));

function drawBlock(block, world) {
  const inside = () => drawAll(block.children, world);
  if (block.type === "heading") return h("p", { class: `md-h${block.level}`, role: "heading", "aria-level": block.level + 2 }, inside());
  if (block.type === "small") return h("p", { class: "md-small" }, inside());
  if (block.type === "quote") return h("blockquote", {}, block.children.map((child) => drawBlock(child, world)));
  if (block.type === "code") return h("pre", {}, h("code", {}, block.text));
  if (block.type === "list") return drawList(block, world);
  return h("p", {}, inside());
}

function drawList(list, world) {
  const items = list.items.map((blocks) => h("li", {}, blocks.map((block) => drawBlock(block, world))));
  return list.ordered ? h("ol", { start: list.start }, items) : h("ul", {}, items);
}

const wrap = (tag) => (node, world) => h(tag, {}, drawAll(node.children, world));

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
  role: () => h("bdi", { class: "chip" }, "@role"),
  command: (node) => h("bdi", { class: "chip" }, `/${node.name}`),
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
  link(node, world) {
    const inside = JUMP.exec(node.href);
    if (inside) return drawJump(node, inside[1], inside[2], world);
    const props = { href: node.href, target: "_blank", rel: "noopener noreferrer nofollow", title: node.masked ? node.href : null };
    return h("a", props, h("bdi", {}, drawAll(node.children, world)));
  },
};

/** A link to a message or channel of Discord stays on this page: it is one of the sandbox's own, or of nobody. */
function drawJump(node, channelId, messageId, world) {
  const channel = world.state.channels.get(channelId);
  const name = channel ? `${titleOf(channel)}${messageId ? " › message" : ""}` : "#no-access";
  if (!channel) return h("bdi", { class: "chip" }, name);
  const words = node.masked ? h("bdi", {}, drawAll(node.children, world)) : name;
  return h("button", { class: node.masked ? "link" : "chip", type: "button", title: name, "data-testid": "jump", onclick: () => world.jump(channelId, messageId) }, words);
}

function drawSpoiler(node, world) {
  const cover = h("span", { class: "spoiler", role: "button", tabindex: 0, "aria-label": "Spoiler, press to reveal" });
  const inner = h("span", { class: "spoiler-inside" }, drawAll(node.children, world));
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
