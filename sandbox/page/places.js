// What kinds of places there are, in words and signs. Pure.

export const KIND_ICON = { text: "hash", thread: "thread", dm: "at", voice: "voice", group: "group", forum: "forum" };
export const AMONG_PEOPLE = 2; // Discord's context PRIVATE_CHANNEL
const WITH_HASH = new Set(["text", "thread"]);

/** "#gallery", but "lounge" for a voice channel's chat, and people's names as they are. */
export function titleOf(channel) {
  return `${WITH_HASH.has(channel.kind) ? "#" : ""}${channel.name}`;
}

/** What is special about a channel, in words. */
export function badgesOf(channel) {
  const found = [];
  if (channel.nsfw) found.push({ short: "18+", words: "age-restricted" });
  if (channel.app_can_post === false) found.push({ short: "no posts", words: "the bot may not post here" });
  if (channel.app_answers_privately) found.push({ short: "private", words: "the bot may answer you alone here" });
  return found;
}

/** The same for the place as a whole: where the bot only answers who brought it along. */
export function remarkOn(channel, guild) {
  if (channel.context === AMONG_PEOPLE) return `the bot is no member of this ${channel.kind === "group" ? "group" : "conversation"}`;
  if (guild && !guild.installed) return "app not installed in this server";
  if (guild && !guild.has_bot) return "only the app's commands are installed in this server, not the bot";
  return channel.kind === "thread" && !channel.has_bot ? "the bot is no member of this private thread" : null;
}

/** What is special about a server, in few words; null for one that the app was added to as a whole. */
export function remarkOnServer(guild) {
  if (!guild.installed) return "app not installed here";
  return guild.has_bot ? null : "commands only";
}

/** What a place is for: its topic, or what kind of place it is. */
export function aboutOf(channel, parent) {
  if (channel.topic) return channel.topic;
  if (channel.kind === "voice") return "The chat of a voice channel";
  if (channel.kind === "thread" && parent) return parent.kind === "forum" ? `A post in ${parent.name}` : `A thread of ${titleOf(parent)}`;
  return "";
}

/** Threads and posts right after their channel where it is known, else last. */
export function inTree(channels) {
  const top = channels.filter((it) => it.kind !== "thread");
  const threads = channels.filter((it) => it.kind === "thread");
  const nested = top.flatMap((it) => [it, ...threads.filter((thread) => thread.parent_id === it.id)]);
  return [...nested, ...threads.filter((thread) => !nested.includes(thread))];
}
