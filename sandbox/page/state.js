// What this person sees: people, channels, commands, messages. Only live events change it; views listen to it.

export const EPHEMERAL = 1 << 6;
export const LOADING = 1 << 7;

export class State extends EventTarget {
  me = null;
  people = new Map();
  guilds = [];
  channels = new Map();
  commands = [];
  offered = new Map(); // channel id -> set of the ids of the commands that are offered there
  appId = null;
  messages = new Map();
  channelId = null;
  interactions = new Map(); // interaction id -> { state, error, command_name, channel_id }
  presses = new Map(); // interaction id -> message id, of controls pressed on this page
  pinged = new Set();
  unread = new Map(); // channel id -> { count, pings }
  dismissed = new Set();

  tell(what, detail = {}) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }

  on(what, listener) {
    this.addEventListener(what, (event) => listener(event.detail));
  }

  get channel() {
    return this.channels.get(this.channelId) ?? null;
  }

  /** The guild of the open channel, or null. */
  get guild() {
    return this.guilds.find((guild) => guild.id === this.channel?.guild_id) ?? null;
  }

  /** The commands of a type that are offered to this person in a channel. */
  commandsIn(channelId, type) {
    const ids = this.offered.get(channelId) ?? new Set();
    return this.commands.filter((command) => ids.has(command.id) && (command.type ?? 1) === type);
  }

  messagesOf(channelId) {
    const known = this.messages.get(channelId);
    return known ? [...known.values()].filter((message) => !this.dismissed.has(message.id)).sort(byId) : [];
  }

  findMessage(id) {
    for (const known of this.messages.values()) if (known.has(id)) return known.get(id);
    return null;
  }

  receive(event) {
    const handler = HANDLERS[event.type];
    if (handler) handler(this, event);
    else console.warn("unknown live event", event.type);
  }

  open(channelId) {
    if (!this.channels.has(channelId) || this.channels.get(channelId).kind === "forum") return;
    this.channelId = channelId;
    this.unread.delete(channelId);
    this.tell("channel");
  }

  dismiss(messageId) {
    this.dismissed.add(messageId);
    this.tell("messages", { channelId: this.channelId });
  }

  forget(interactionId) {
    this.interactions.delete(interactionId);
    this.presses.delete(interactionId);
    this.tell("messages", { channelId: this.channelId });
  }

  /** Notes which message an interaction belongs to; its live events may have come before. */
  pressed(interactionId, messageId) {
    this.presses.set(interactionId, messageId);
    this.tell("messages", { channelId: this.channelId });
  }
}

function byId(a, b) {
  return a.id.length - b.id.length || (a.id < b.id ? -1 : 1);
}

const HANDLERS = {
  snapshot(state, event) {
    const samePerson = state.me?.id === event.me.id;
    state.me = event.me;
    state.people = new Map(event.people.map((person) => [person.id, person]));
    state.appId = event.app_id;
    takePlaces(state, event);
    state.messages = new Map(
      Object.entries(event.messages).map(([id, list]) => [id, new Map(list.map((message) => [message.id, message]))]),
    );
    state.interactions.clear();
    state.presses.clear();
    if (!samePerson) state.unread.clear();
    state.tell("snapshot", { now_ms: event.now_ms, samePerson });
  },

  message(state, { channel_id, message }) {
    const known = state.messages.get(channel_id) ?? new Map();
    const isNew = !known.has(message.id);
    known.set(message.id, message);
    state.messages.set(channel_id, known);
    if (isNew && channel_id !== state.channelId) count(state, channel_id, "count");
    state.tell("messages", { channelId: channel_id });
  },

  message_delete(state, { channel_id, message_id }) {
    state.messages.get(channel_id)?.delete(message_id);
    state.tell("messages", { channelId: channel_id });
  },

  places(state, event) {
    takePlaces(state, event);
    state.tell("places");
  },

  interaction(state, event) {
    state.interactions.set(event.interaction_id, event);
    state.tell("interaction", event);
    state.tell("messages", { channelId: event.channel_id });
  },

  modal(state, event) {
    state.tell("modal", event);
  },

  notice(state, { text }) {
    state.tell("notice", { text });
  },

  ping(state, { message_id }) {
    state.pinged.add(message_id);
    const message = state.findMessage(message_id);
    if (message && message.channel_id !== state.channelId) count(state, message.channel_id, "pings");
    state.tell("messages", { channelId: message?.channel_id });
  },
};

function takePlaces(state, { guilds, channels, commands, offered }) {
  state.guilds = guilds;
  state.channels = new Map(channels.map((channel) => [channel.id, channel]));
  state.commands = commands;
  state.offered = new Map(Object.entries(offered).map(([id, ids]) => [id, new Set(ids)]));
}

function count(state, channelId, what) {
  const known = state.unread.get(channelId) ?? { count: 0, pings: 0 };
  known[what] += 1;
  state.unread.set(channelId, known);
  state.tell("unread");
}
