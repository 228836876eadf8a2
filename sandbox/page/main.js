// Puts the page together: what a person does goes out as requests, what happens comes in over the live line.
import { h } from "./dom.js";
import { Clock, startCounting } from "./clock.js";
import { Composer } from "./composer.js";
import { ModalForm } from "./form.js";
import { Gallery } from "./gallery.js";
import { Drawers, startHeader } from "./header.js";
import { Live } from "./live.js";
import { MessageMenu } from "./menu.js";
import { MessageList } from "./messages.js";
import { Panel } from "./panel.js";
import * as requests from "./requests.js";
import { Sidebar } from "./sidebar.js";
import { State } from "./state.js";

const NOTICE_MS = 7000;
const FIRST_PERSON = "mira";
const PRESS_PATIENCE_MS = 16000;
const part = (id) => document.getElementById(id);

const state = new State();
const clock = new Clock();
const tick = startCounting(clock);
const busy = new Map(); // message id -> pressed node

const world = {
  state,
  clock,
  tick,
  gallery: new Gallery(),
  drawers: new Drawers(part("shade")),
  notice,

  become(person) {
    remember({ as: person.name });
    live.open(`?as=${encodeURIComponent(person.name)}`);
    this.drawers.close();
  },

  openChannel(channelId) {
    state.open(channelId);
    remember({ in: state.channel.name });
    this.drawers.close();
  },

  /** Shows a channel, and one message of it. */
  jump(channelId, messageId) {
    if (channelId !== state.channelId) this.openChannel(channelId);
    if (messageId && !list.reveal(messageId)) notice("That message is not here any more.");
  },

  async press(messageId, component, values, node) {
    const message = state.findMessage(messageId);
    if (!message || node.getAttribute("aria-busy") === "true") return;
    wait(messageId, node);
    const answer = await attempt(() => requests.press(state.me.id, message, component, values));
    if (answer) state.pressed(answer.interaction_id, messageId);
    else rest(messageId);
  },

  messageCommand(command, message) {
    const body = { name: command.name, command_type: command.type, options: [], target_id: message.id };
    return attempt(() => requests.runCommand(state.me.id, message.channel_id, body));
  },

  deleteMessage: (message) => attempt(() => requests.deleteMessage(state.me.id, message)),
  /** Gone here at once, and by the sandbox's word for good. */
  dismiss(message) {
    state.dismiss(message.id);
    return attempt(() => requests.deleteMessage(state.me.id, message));
  },

  say(text) {
    state.tell("wrote");
    return attempt(() => requests.say(state.me.id, state.channelId, text));
  },

  runCommand(body) {
    state.tell("wrote");
    return requests.runCommand(state.me.id, state.channelId, body);
  },

  submitForm: (interactionId, customId, values) => requests.submitForm(state.me.id, interactionId, customId, values),
};

/** Runs a request; a refusal becomes a notice and null. */
async function attempt(request) {
  try {
    return await request();
  } catch (error) {
    if (!(error instanceof requests.Refused)) throw error;
    notice(error.message);
    return null;
  }
}

function notice(text) {
  const line = h("p", { class: "notice", dir: "auto" }, text);
  part("notices").append(line);
  setTimeout(() => line.remove(), NOTICE_MS);
}

/** A pressed control waits until its interaction was answered or failed. */
function wait(messageId, node) {
  node.setAttribute("aria-busy", "true");
  busy.set(messageId, node);
  setTimeout(() => busy.get(messageId) === node && rest(messageId), PRESS_PATIENCE_MS);
}

function rest(messageId) {
  busy.get(messageId)?.removeAttribute("aria-busy");
  busy.delete(messageId);
}

/** Ends the waiting of what was pressed; a failed form has no place of its own, so a notice tells it. */
function settle({ state: how, interaction_id, command_name, error } = {}) {
  if (how === "failed" && !command_name && !state.presses.has(interaction_id)) notice(error ?? "The application did not respond");
  for (const [interactionId, messageId] of state.presses) {
    const it = state.interactions.get(interactionId);
    if (it && it.state !== "sent") rest(messageId);
  }
}

/** Who and where, kept in the address: a reload stays, a second tab can be someone else. */
function remember(change) {
  const known = new URLSearchParams(location.hash.slice(1));
  for (const [key, value] of Object.entries(change)) known.set(key, value);
  history.replaceState(null, "", `#${known}`);
}

function choosePlace() {
  if (state.channel) return; // a line that came back, or another person who sees the same channel
  const wanted = new URLSearchParams(location.hash.slice(1)).get("in");
  const all = [...state.channels.values()];
  const place = all.find((channel) => channel.name === wanted && channel.kind !== "forum") ?? all.find((channel) => channel.guild_id) ?? all[0];
  if (place) state.open(place.id);
}

world.menu = new MessageMenu(world);
startHeader(part("header"), world);
new Sidebar(part("sidebar"), world);
const list = new MessageList(part("messages"), world);
new Composer(part("composer"), world);
new ModalForm(world);
new Panel(part("panel"), world);

state.on("notice", ({ text }) => notice(text));
state.on("interaction", settle);
state.on("messages", () => settle());
state.on("snapshot", ({ now_ms }) => {
  clock.set(now_ms);
  remember({ as: state.me.name });
  choosePlace();
  document.body.dataset.ready = "true";
});

const banner = part("banner");
const live = new Live("/sandbox/live", (event) => state.receive(event), (connected) => {
  banner.hidden = connected;
  if (!connected && !state.me && me !== FIRST_PERSON) open(FIRST_PERSON); // the address named nobody of the sandbox
});
let me = null;

function open(name) {
  me = name;
  live.open(`?as=${encodeURIComponent(name)}`);
}

open(new URLSearchParams(location.hash.slice(1)).get("as") ?? FIRST_PERSON);
