// Builds the page. A person's actions are sent as requests; changes are received over the live socket.
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
import { ServerSettings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { State } from "./state.js";

const NOTICE_MS = 7000;
const FIRST_PERSON = "mira";
const PRESS_TIMEOUT_MS = 16000;
const part = (id) => document.getElementById(id);

const state = new State();
const clock = new Clock();
const tick = startCounting(clock);
const busy = new Map(); // message id -> pressed control

const app = {
  state,
  clock,
  tick,
  gallery: new Gallery(),
  drawers: new Drawers(part("shade")),
  notice,

  switchPerson(person) {
    remember({ as: person.name });
    live.open(`?as=${encodeURIComponent(person.name)}`);
    this.drawers.close();
  },

  openChannel(channelId) {
    state.open(channelId);
    remember({ in: state.channel.name });
    this.drawers.close();
  },

  /** Opens a channel, scrolled to one of its messages. */
  jump(channelId, messageId) {
    if (channelId !== state.channelId) this.openChannel(channelId);
    if (messageId && !list.reveal(messageId)) notice("That message is not here any more.");
  },

  async press(messageId, component, values, node) {
    const message = state.findMessage(messageId);
    if (!message || node.getAttribute("aria-busy") === "true") return;
    markBusy(messageId, node);
    const answer = await attempt(() => requests.press(state.me.id, message, component, values));
    if (answer) state.pressed(answer.interaction_id, messageId);
    else clearBusy(messageId);
  },

  messageCommand(command, message) {
    const body = { name: command.name, command_type: command.type, options: [], target_id: message.id };
    return attempt(() => requests.runCommand(state.me.id, message.channel_id, body));
  },

  deleteMessage: (message) => attempt(() => requests.deleteMessage(state.me.id, message)),
  /** Hides the message at once; the sandbox then removes it for good. */
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

  upload: (interactionId, filename, data) => requests.upload(state.me.id, interactionId, filename, data),
  submitForm: (interactionId, customId, values) => requests.submitForm(state.me.id, interactionId, customId, values),
};

/** Runs a request; shows a refusal as a notice and returns null. */
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

/** Marks a pressed control as busy until its interaction is answered or fails. */
function markBusy(messageId, node) {
  node.setAttribute("aria-busy", "true");
  busy.set(messageId, node);
  setTimeout(() => busy.get(messageId) === node && clearBusy(messageId), PRESS_TIMEOUT_MS);
}

function clearBusy(messageId) {
  busy.get(messageId)?.removeAttribute("aria-busy");
  busy.delete(messageId);
}

/** Ends the busy state of controls whose interaction has an outcome; a failed form is shown as a notice. */
function showOutcome({ state: how, interaction_id, command_name, error } = {}) {
  if (how === "failed" && !command_name && !state.presses.has(interaction_id)) notice(error ?? "The application did not respond");
  for (const [interactionId, messageId] of state.presses) {
    const it = state.interactions.get(interactionId);
    if (it && it.state !== "sent") clearBusy(messageId);
  }
}

/** Keeps person and channel in the address: a reload keeps them, a second tab can have others. */
function remember(change) {
  const known = new URLSearchParams(location.hash.slice(1));
  for (const [key, value] of Object.entries(change)) known.set(key, value);
  history.replaceState(null, "", `#${known}`);
}

function chooseChannel() {
  if (state.channel) return; // connected again, or another person who sees the same channel
  const wanted = new URLSearchParams(location.hash.slice(1)).get("in");
  const all = [...state.channels.values()];
  const found = all.find((channel) => channel.name === wanted && channel.kind !== "forum") ?? all.find((channel) => channel.guild_id) ?? all[0];
  if (found) state.open(found.id);
}

app.menu = new MessageMenu(app);
app.settings = new ServerSettings(app);
startHeader(part("header"), app);
new Sidebar(part("sidebar"), app);
const list = new MessageList(part("messages"), app);
new Composer(part("composer"), app);
new ModalForm(app);
new Panel(part("panel"), app);

state.on("notice", ({ text }) => notice(text));
state.on("interaction", showOutcome);
state.on("messages", () => showOutcome());
state.on("snapshot", ({ now_ms }) => {
  clock.set(now_ms);
  remember({ as: state.me.name });
  chooseChannel();
  document.body.dataset.ready = "true";
});

const banner = part("banner");
const live = new Live("/sandbox/live", (event) => state.receive(event), (connected) => {
  banner.hidden = connected;
  if (!connected && !state.me && me !== FIRST_PERSON) open(FIRST_PERSON); // the address named an unknown person
});
let me = null;

function open(name) {
  me = name;
  live.open(`?as=${encodeURIComponent(name)}`);
}

open(new URLSearchParams(location.hash.slice(1)).get("as") ?? FIRST_PERSON);
