// Draws message components. One whose data did not change keeps its node, and with it focus and loaded images.
import { arrange, h, slug } from "./dom.js";
import { markdown } from "./markdown_dom.js";
import { drawFile, drawGallery, drawThumbnail, localAddress, mediumOf } from "./media.js";
import { drawSelect } from "./selects.js";

export const TYPE = {
  ROW: 1, BUTTON: 2, STRING: 3, TEXT_INPUT: 4, USER: 5, ROLE: 6, MENTIONABLE: 7, CHANNEL: 8, SECTION: 9, TEXT: 10, THUMBNAIL: 11,
  GALLERY: 12, FILE: 13, SEPARATOR: 14, CONTAINER: 17, LABEL: 18, FILE_UPLOAD: 19, RADIO_GROUP: 21, CHECKBOX_GROUP: 22, CHECKBOX: 23,
};
const LINK_STYLE = 5;
const PREMIUM_STYLE = 6;

/** Draws a message's components. `cache`: a Map kept per message, from a component's place to its node. */
export function drawComponents(components, message, cache, app) {
  const draw = (component, place) => {
    const written = writeComponent(component);
    const known = cache.get(place);
    if (known?.written === written) return known.node;
    const old = known?.type === component.type ? known.node : null;
    const inside = (children) => children.map((child, index) => draw(child, `${place}.${index}`));
    const node = (DRAW[component.type] ?? drawUnknown)(component, { message, app, inside, old });
    cache.set(place, { type: component.type, written, node });
    return node;
  };
  const nodes = components.map((component, index) => draw(component, String(index)));
  for (const [place, { node }] of [...cache]) if (!nodes.some((each) => each.contains(node))) cache.delete(place);
  return nodes;
}

/** A component as text, for comparison: without its id and without signatures in addresses, which always change. */
function writeComponent(component) {
  return JSON.stringify(component, (name, value) => {
    if (name === "id" && typeof value === "number") return undefined;
    if ((name === "url" || name === "proxy_url") && typeof value === "string") return localAddress(value)?.split("?")[0] ?? value;
    return value;
  });
}

const DRAW = {
  [TYPE.ROW]: drawRow,
  [TYPE.BUTTON]: drawButton,
  [TYPE.STRING]: (select, { message, app }) => drawSelect(select, message, app),
  [TYPE.USER]: (select, { message, app }) => drawSelect(select, message, app),
  [TYPE.ROLE]: (select, { message, app }) => drawSelect(select, message, app),
  [TYPE.MENTIONABLE]: (select, { message, app }) => drawSelect(select, message, app),
  [TYPE.CHANNEL]: (select, { message, app }) => drawSelect(select, message, app),
  [TYPE.SECTION]: drawSection,
  [TYPE.TEXT]: (text, { app }) => h("div", { class: "text-display" }, markdown(text.content, app)),
  [TYPE.THUMBNAIL]: (thumbnail, { message, app }) => drawThumbnail(mediumOf(thumbnail, message), app),
  [TYPE.GALLERY]: (gallery, { message, app, old }) => drawGallery(gallery.items.map((item) => mediumOf(item, message)), app, old),
  [TYPE.FILE]: (file, { message }) => drawFile(mediumOf(file, message)),
  [TYPE.SEPARATOR]: (it) => h("div", { class: `separator ${it.divider === false ? "" : "line"} ${it.spacing === 2 ? "wide" : ""}`, role: it.divider === false ? null : "separator" }),
  [TYPE.CONTAINER]: drawContainer,
};

function drawUnknown(component) {
  return h("div", { class: "elsewhere" }, `This page does not know components of type ${component.type}.`);
}

function drawRow(row, { inside, old }) {
  const node = old ?? h("div", { class: "row" });
  arrange(node, inside(row.components));
  return node;
}

/** Draws a container; one that stays keeps its node, so that only what changed in it is drawn anew. */
function drawContainer(container, { inside, old }) {
  const kept = container.spoiler || old?.querySelector(".cover-word") ? null : old;
  const box = kept ?? h("div", { class: "container", "data-testid": "container" }, h("div", { class: "container-inside" }));
  const color = Number.isInteger(container.accent_color) ? `#${container.accent_color.toString(16).padStart(6, "0")}` : "transparent";
  box.style.setProperty("--accent-bar", color);
  arrange(box.firstElementChild, inside(container.components));
  if (container.spoiler) coverContainer(box, box.firstElementChild);
  return box;
}

function coverContainer(box, inside) {
  inside.inert = true;
  box.classList.add("covered");
  const reveal = () => {
    inside.inert = false;
    box.classList.remove("covered");
    button.remove();
  };
  const button = h("button", { class: "cover-word", type: "button", onclick: reveal }, "Spoiler");
  box.append(button);
}

function drawSection(section, { inside }) {
  const texts = h("div", { class: "section-texts" });
  const parts = inside([...section.components, ...(section.accessory ? [section.accessory] : [])]);
  texts.append(...parts.splice(0, section.components.length));
  return h("div", { class: "section" }, texts, parts);
}

function drawButton(button, { message, app }) {
  const label = button.label ?? "";
  const emoji = button.emoji ? h("span", { "aria-hidden": label ? "true" : null }, button.emoji.id ? `:${button.emoji.name}:` : button.emoji.name) : null;
  const props = { class: `button button-${button.style}`, "data-testid": `button-${slug(label || button.emoji?.name || "unnamed")}` };
  const name = h("bdi", {}, label);
  if (button.style === LINK_STYLE) return drawLinkButton(button, props, [emoji, name]);
  if (button.style === PREMIUM_STYLE) return h("button", { ...props, type: "button", disabled: true }, "Buy (there is no store in the sandbox)");
  const node = h("button", { ...props, type: "button", disabled: button.disabled, "data-custom-id": button.custom_id }, emoji, name);
  node.addEventListener("click", () => app.press(message.id, button, null, node));
  return node;
}

/** Draws a link for web addresses; any other address becomes a disabled button. */
function drawLinkButton(button, props, inside) {
  const live = !button.disabled && /^https?:\/\//i.test(button.url ?? "");
  if (!live) return h("button", { ...props, type: "button", disabled: true }, inside);
  return h("a", { ...props, href: button.url, target: "_blank", rel: "noopener noreferrer" }, inside, h("span", { "aria-hidden": "true" }, "↗"));
}
