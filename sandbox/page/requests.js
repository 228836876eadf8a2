// A person's actions as requests to the sandbox. Each throws Refused with a sentence for the person.

export class Refused extends Error {}

async function post(path, body) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Refused("The sandbox is not reachable. Is `python -m sandbox` still running?");
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(data.error ?? `The sandbox answered ${answer.status} without a reason.`);
  return data;
}

export const runCommand = (who, channel_id, command) => post("/sandbox/command", { as: who, channel_id, ...command });
export const press = (who, message, component, values) =>
  post("/sandbox/press", {
    as: who,
    channel_id: message.channel_id,
    message_id: message.id,
    custom_id: component.custom_id,
    component_type: component.type,
    ...(values ? { values } : {}),
  });
export const submitForm = (who, interaction_id, custom_id, components) =>
  post("/sandbox/submit", { as: who, interaction_id, custom_id, components });
export const upload = (who, interaction_id, filename, data) => post("/sandbox/upload", { as: who, interaction_id, filename, data });
export const say = (who, channel_id, content) => post("/sandbox/say", { as: who, channel_id, content });
export const deleteMessage = (who, message) =>
  post("/sandbox/delete", { as: who, channel_id: message.channel_id, message_id: message.id });

export const setCommandPermissions = (who, guild_id, command_id, permissions) =>
  post("/sandbox/command-permissions", { as: who, guild_id, ...(command_id ? { command_id } : {}), permissions });
export const makeChannel = (who, guild_id, name, nsfw) => post("/sandbox/channel", { as: who, guild_id, name, nsfw });
export const setAgeRestricted = (who, channel_id, nsfw) => post("/sandbox/age-restriction", { as: who, channel_id, nsfw });
export const installApp = (who, guild_id, installed) => post("/sandbox/app", { as: who, guild_id, installed });

export const setOutage = (guild_id, unavailable) => post("/sandbox/panel/outage", { guild_id, unavailable });
export const setMood = (mood, count) => post("/sandbox/panel/mood", { mood, ...(count ? { count } : {}) });
export const botAction = (action, process) => post("/sandbox/panel/bot", { action, process });
export const advanceClock = (seconds) => post("/sandbox/panel/clock", { advance_seconds: seconds });
export const setLie = (lie, told) => post("/sandbox/panel/lie", { lie, told });
