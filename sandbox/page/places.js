// Names, icons and notes of the kinds of channels.

export const KIND_ICON = { text: "hash", thread: "thread", dm: "at", voice: "voice", group: "group", forum: "forum" };
export const AMONG_PEOPLE = 2; // Discord's context PRIVATE_CHANNEL
const WITH_HASH = new Set(["text", "thread"]);

/** A channel's title: "#gallery", but "lounge" for a voice channel's chat, and people's names as they are. */
export function titleOf(channel) {
  return `${WITH_HASH.has(channel.kind) ? "#" : ""}${channel.name}`;
}

/** What is special about a channel: a short word for the list, and a sentence. */
export function badgesOf(channel) {
  const found = [];
  if (channel.nsfw) found.push({ short: "18+", words: "age-restricted" });
  if (channel.app_can_post === false) found.push({ short: "no posts", words: "the bot may not post here" });
  if (channel.app_answers_privately) found.push({ short: "private", words: "the bot may answer you alone here" });
  return found;
}

/** Why the bot is no member of a channel, or null where it is one. */
export function channelNote(channel, guild) {
  if (channel.context === AMONG_PEOPLE) return `the bot is no member of this ${channel.kind === "group" ? "group" : "conversation"}`;
  if (guild && !guild.installed) return "app not installed in this server";
  if (guild && !guild.has_bot) return "only the app's commands are installed in this server, not the bot";
  return channel.kind === "thread" && !channel.has_bot ? "the bot is no member of this private thread" : null;
}

/** How far the app is installed in a server; null where commands and bot are. */
export function serverNote(guild) {
  if (guild.unavailable) return "outage";
  if (!guild.installed) return "app not installed here";
  return guild.has_bot ? null : "commands only";
}

/** A channel's topic, or what kind of channel it is. */
export function aboutOf(channel, parent) {
  if (channel.topic) return channel.topic;
  if (channel.kind === "voice") return "The chat of a voice channel";
  if (channel.kind === "thread" && parent) return parent.kind === "forum" ? `A post in ${parent.name}` : `A thread of ${titleOf(parent)}`;
  return "";
}

/** Sorts threads and posts after their channel; those of an unknown channel come last. */
export function inTree(channels) {
  const top = channels.filter((it) => it.kind !== "thread");
  const threads = channels.filter((it) => it.kind === "thread");
  const nested = top.flatMap((it) => [it, ...threads.filter((thread) => thread.parent_id === it.id)]);
  return [...nested, ...threads.filter((thread) => !nested.includes(thread))];
}
