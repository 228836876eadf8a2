// Images and files of messages. Space is reserved by width and height, so that nothing moves when an image has loaded.
import { h, icon } from "./dom.js";

const MOST_WIDTH = 460;
const MOST_HEIGHT = 420;
const SPOILER_NAME = /^SPOILER_/;

/** The address of a medium on this machine; null for any other, which the page does not load. */
export function localAddress(url) {
  let address;
  try {
    address = new URL(url, location.href);
  } catch {
    return null;
  }
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(address.hostname) || address.host === location.host;
  return local && /^https?:$/.test(address.protocol) ? address.pathname + address.search : null;
}

/** A gallery item or attachment in one shape: { address, width, height, alt, spoiler, filename, image }. */
export function mediumOf(item, message) {
  const media = item.media ?? item.file ?? item;
  const named = /^attachment:\/\/(.+)$/.exec(media.url ?? "");
  const attachment = named ? (message.attachments ?? []).find((each) => each.filename === named[1]) : null;
  const source = attachment ?? media;
  const address = localAddress(source.url ?? "");
  const filename = item.filename ?? item.name ?? attachment?.filename ?? nameIn(address ?? source.url ?? "");
  const type = source.content_type ?? "";
  return {
    address,
    elsewhere: address ? null : source.url,
    width: source.width || null,
    height: source.height || null,
    alt: item.description ?? "",
    spoiler: item.spoiler ?? SPOILER_NAME.test(filename),
    filename,
    size: item.size ?? source.size ?? null,
    image: type ? type.startsWith("image/") : Boolean(source.width) || /\.(png|jpe?g|webp|gif)$/i.test(filename),
  };
}

function nameIn(address) {
  try {
    return decodeURIComponent(address.split("?")[0].split("/").at(-1));
  } catch {
    return "file";
  }
}

/** The images of a gallery that is drawn anew, by address: one that stays keeps its element and is not loaded again. */
function imagesOf(old) {
  const images = [...(old?.querySelectorAll("img") ?? [])];
  return new Map(images.map((image) => [image.getAttribute("src").split("?")[0], image]));
}

/** Draws one image large, two to four as a grid of equal cells, more in three columns. */
export function drawGallery(media, app, old = null) {
  const images = imagesOf(old);
  const grid = h("div", { class: `gallery gallery-${Math.min(media.length, 5)}`, role: "group", "aria-label": `${media.length} ${media.length === 1 ? "image" : "images"}` });
  const { width, height } = media.find((each) => each.width && each.height) ?? { width: 1, height: 1 };
  if (media.length === 1) {
    const scale = Math.min(1, MOST_WIDTH / width, MOST_HEIGHT / height);
    const pixels = media[0].width ? Math.round(width * scale) : MOST_WIDTH;
    grid.style.setProperty("--width", `${pixels}px`);
    grid.style.setProperty("--shape", `${width} / ${height}`);
  } else grid.style.setProperty("--shape", String(Math.min(4 / 3, Math.max(3 / 4, width / height))));
  media.forEach((medium, index) => grid.append(drawImage(medium, () => app.gallery.show(media, index), images)));
  return grid;
}

function drawImage(medium, open, images = new Map()) {
  if (!medium.address) return drawElsewhere(medium);
  const image = images.get(medium.address.split("?")[0]) ?? h("img", { src: medium.address, width: medium.width, height: medium.height, "data-testid": "gallery-image", decoding: "async" });
  image.alt = medium.alt;
  const label = medium.alt ? `Open image: ${medium.alt.slice(0, 120)}` : "Open image";
  const button = h("button", { class: "image-button", type: "button", "aria-label": label, onclick: open }, image);
  image.addEventListener("error", () => button.classList.add("broken"));
  image.addEventListener("load", () => button.classList.remove("broken"));
  if (medium.spoiler) cover(button, medium);
  return button;
}

/** Blurs a spoiler until it is pressed; the next press opens it. */
function cover(button, medium) {
  const label = button.getAttribute("aria-label");
  button.classList.add("covered");
  button.setAttribute("aria-label", "Spoiler image, press to reveal");
  const badge = h("span", { class: "cover-word" }, "Spoiler");
  button.append(badge);
  const reveal = (event) => {
    event.stopImmediatePropagation();
    button.classList.remove("covered");
    button.setAttribute("aria-label", label);
    badge.remove();
    button.removeEventListener("click", reveal, true);
    medium.spoiler = false;
  };
  button.addEventListener("click", reveal, true);
}

function drawElsewhere(medium) {
  return h("div", { class: "elsewhere" }, "This image lies outside the sandbox and is not loaded: ", h("bdi", {}, medium.elsewhere ?? "no address"));
}

export function drawThumbnail(medium, app) {
  const image = drawImage(medium, () => app.gallery.show([medium], 0));
  image.classList.add("thumbnail");
  return image;
}

export function drawFile(medium) {
  const size = medium.size ? h("span", { class: "quiet" }, bytes(medium.size)) : null;
  const name = medium.address
    ? h("a", { href: medium.address, download: medium.filename }, h("bdi", {}, medium.filename))
    : h("bdi", {}, medium.filename);
  return h("div", { class: "file" }, icon("file"), h("div", { class: "file-name" }, name, size));
}

export function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  return count < 1024 * 1024 ? `${(count / 1024).toFixed(0)} KB` : `${(count / 1024 / 1024).toFixed(1)} MB`;
}
