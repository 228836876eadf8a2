// Draws embeds, the older form of rich text.
import { h } from "./dom.js";
import { markdown } from "./markdown_dom.js";
import { drawGallery, drawThumbnail, mediumOf } from "./media.js";

export function drawEmbed(embed, message, app) {
  const box = h("article", { class: "container embed" });
  if (Number.isInteger(embed.color)) box.style.setProperty("--accent-bar", `#${embed.color.toString(16).padStart(6, "0")}`);
  const texts = [
    embed.author?.name ? h("p", { class: "quiet", dir: "auto" }, embed.author.name) : null,
    embed.title ? h("p", { class: "md-h3", dir: "auto" }, embed.title) : null,
    embed.description ? markdown(embed.description, app) : null,
    embed.fields?.length ? h("dl", { class: "fields" }, embed.fields.map((field) => drawField(field, app))) : null,
    embed.image ? drawGallery([mediumOf(embed.image, message)], app) : null,
    embed.footer?.text ? h("p", { class: "md-small", dir: "auto" }, embed.footer.text) : null,
  ];
  box.append(h("div", { class: "section" }, h("div", { class: "section-texts" }, texts.filter(Boolean)), embed.thumbnail ? drawThumbnail(mediumOf(embed.thumbnail, message), app) : ""));
  return box;
}

function drawField(field, app) {
  return h("div", { class: field.inline ? "inline" : "" }, h("dt", { dir: "auto" }, field.name), h("dd", {}, markdown(field.value, app)));
}
