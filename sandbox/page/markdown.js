// Parses Discord's Markdown into a tree. Unknown or broken syntax stays plain text.

const DEEPEST = 8;
const BLOCK_CODE = /```(?:([\w+-]+)\n)?\n?([\s\S]*?[^\n`][\s\S]*?)\n?```/y;
const HEADING = /^(#{1,3}) +(\S.*)$/;
const SMALL = /^-# +(\S.*)$/;
const ITEM = /^( *)([-*]|\d{1,9}\.) +(\S.*)$/;

/** Blocks: paragraph, heading, small, quote, list, code. */
export function parse(text, depth = 0) {
  const blocks = [];
  let plain = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text.startsWith("```", at)) {
      BLOCK_CODE.lastIndex = at;
      const found = BLOCK_CODE.exec(text);
      if (!found) continue;
      blocks.push(...parseLines(text.slice(plain, at).replace(/\n$/, ""), depth));
      blocks.push({ type: "code", language: found[1] ?? "", text: found[2] });
      plain = BLOCK_CODE.lastIndex + (text[BLOCK_CODE.lastIndex] === "\n" ? 1 : 0);
      at = plain - 1;
    }
  }
  blocks.push(...parseLines(text.slice(plain), depth));
  return blocks;
}

function parseLines(text, depth) {
  if (text === "") return [];
  const lines = text.split("\n");
  const blocks = [];
  let plain = [];
  const flush = () => {
    if (plain.length) blocks.push({ type: "paragraph", children: parseInline(plain.join("\n")) });
    plain = [];
  };
  while (lines.length) {
    const block = depth < DEEPEST ? takeBlock(lines, depth) : null;
    if (block) {
      flush();
      blocks.push(block);
    } else plain.push(lines.shift());
  }
  flush();
  return blocks;
}

function takeBlock(lines, depth) {
  const [line] = lines;
  let found;
  if (line.startsWith(">>> ")) {
    const rest = lines.splice(0).join("\n").slice(4);
    return { type: "quote", children: parseLines(rest, depth + 1) };
  }
  if (line.startsWith("> ")) {
    const count = leading(lines, (each) => each.startsWith("> "));
    const inner = lines.splice(0, count).map((each) => each.slice(2));
    return { type: "quote", children: parseLines(inner.join("\n"), depth + 1) };
  }
  if ((found = HEADING.exec(line))) {
    lines.shift();
    return { type: "heading", level: found[1].length, children: parseInline(found[2]) };
  }
  if ((found = SMALL.exec(line))) {
    lines.shift();
    return { type: "small", children: parseInline(found[1]) };
  }
  if (ITEM.test(line)) return takeList(lines);
  return null;
}

function takeList(lines) {
  const kind = isOrdered(lines[0]);
  const count = leading(lines, (each) => ITEM.test(each) && (each.startsWith("  ") || isOrdered(each) === kind));
  const items = lines.splice(0, count).map((each) => {
    const [, indent, mark, text] = ITEM.exec(each);
    return { level: Math.min(Math.floor(indent.length / 2), DEEPEST), ordered: mark.length > 1, number: parseInt(mark, 10), text };
  });
  return nest(items, 0);
}

function isOrdered(line) {
  return ITEM.exec(line)[2].length > 1;
}

function nest(items, level) {
  const list = { type: "list", ordered: items[0].ordered, start: items[0].number || 1, items: [] };
  while (items.length && items[0].level >= level) {
    if (items[0].level > level && list.items.length) list.items.at(-1).push(nest(items, items[0].level));
    else list.items.push([{ type: "paragraph", children: parseInline(items.shift().text) }]);
  }
  return list;
}

function leading(lines, test) {
  const stop = lines.findIndex((line) => !test(line));
  return stop < 0 ? lines.length : stop;
}

// Inline rules in order. Each regular expression has disjoint alternatives, so that no text makes it slow.
const RULES = [
  [/\\([^\p{L}\p{N}\s])/uy, (m) => ({ type: "text", text: m[1] })],
  [/(`+)([^`](?:[\s\S]*?[^`])??)\1(?!`)/y, (m) => ({ type: "code", text: m[2].trim() || m[2] })],
  [/<t:(-?\d{1,17})(?::([tTdDfFRsS]))?>/y, (m) => ({ type: "time", unix: Number(m[1]), style: m[2] ?? "f", source: m[0] })],
  [/<@!?(\d{1,20})>/y, (m) => ({ type: "user", id: m[1] })],
  [/<#(\d{1,20})>/y, (m) => ({ type: "channel", id: m[1] })],
  [/<@&(\d{1,20})>/y, (m) => ({ type: "role", id: m[1] })],
  [/<\/([^:<>\n]{1,100}):(\d{1,20})>/y, (m) => ({ type: "command", name: m[1], id: m[2] })],
  [/<a?:(\w{2,32}):\d{1,20}>/y, (m) => ({ type: "text", text: `:${m[1]}:` })],
  [/<(https?:\/\/[^\s<>]+)>/y, (m) => ({ type: "link", href: m[1], children: [{ type: "text", text: m[1] }] })],
  [/\[((?:\\[\s\S]|[^\\[\]])+)\]\(<?(https?:\/\/[^\s<>()]+(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?: +"[^"\n]*")?\)/y, masked],
  [/https?:\/\/[^\s<>[\]]*[^\s<>[\]"'.,:;!?)*_~|`\\]/y, (m) => ({ type: "link", href: m[0], children: [{ type: "text", text: m[0] }] })],
  [/@(?:everyone|here)\b/y, (m) => ({ type: "everyone", text: m[0] })],
  [/\*\*((?:\\[\s\S]|[^\\])+?)\*\*(?!\*)/y, span("strong")],
  [/__((?:\\[\s\S]|[^\\])+?)__(?!_)/y, span("u")],
  [/~~((?:\\[\s\S]|[^\\])+?)~~/y, span("s")],
  [/\|\|((?:\\[\s\S]|[^\\])+?)\|\|/y, span("spoiler")],
  [/\*(?![\s*])((?:\\[\s\S]|\*\*|[^\\*])+?)(?<!\s)\*(?!\*)/y, span("em")],
  [/(?<!\w)_((?:\\[\s\S]|__|[^\\_])+?)_(?!\w)/y, span("em")],
  [/\n/y, () => ({ type: "break" })],
];
const PLAIN = /[^\\`<[@*_~|\nh]+/y;

function span(type) {
  return (found, depth) => ({ type, children: parseInline(found[1], depth + 1) });
}

/** A link with a label; one whose label contains an address stays plain text, as in Discord. */
function masked(found, depth) {
  if (/https?:\/\//i.test(found[1])) return null;
  return { type: "link", href: found[2], children: parseInline(found[1], depth + 1), masked: true };
}

export function parseInline(text, depth = 0) {
  const nodes = [];
  const plain = (words) => {
    if (nodes.at(-1)?.type === "text") nodes.at(-1).text += words;
    else nodes.push({ type: "text", text: words });
  };
  let at = 0;
  while (at < text.length) {
    const [node, end] = (depth < DEEPEST && take(text, at, depth)) || [null, at + 1];
    if (node?.type === "text") plain(node.text);
    else if (node) nodes.push(node);
    else plain(text.slice(at, end));
    at = end;
  }
  return nodes;
}

function take(text, at, depth) {
  PLAIN.lastIndex = at;
  const plain = PLAIN.exec(text);
  if (plain) return [{ type: "text", text: plain[0] }, PLAIN.lastIndex];
  for (const [pattern, build] of RULES) {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    const end = pattern.lastIndex; // before build(), which may use the same pattern for what is inside
    const node = found && build(found, depth);
    if (node) return [node, end];
  }
  return null;
}
