// The commands to pick from, and the checks that Discord's client makes before it sends one.
import { rolesOf, usersOf } from "./selects.js";

export const OPTION = { SUB: 1, GROUP: 2, STRING: 3, INTEGER: 4, BOOLEAN: 5, USER: 6, CHANNEL: 7, ROLE: 8, MENTIONABLE: 9, NUMBER: 10, ATTACHMENT: 11 };
export const SLASH = 1;

/** One entry for each command that can be typed; each sub-command has its own. */
export function entriesOf(commands) {
  return commands.flatMap((command) => unfold(command, command, [])).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function unfold(command, node, path) {
  const subs = (node.options ?? []).filter((option) => option.type === OPTION.SUB || option.type === OPTION.GROUP);
  if (subs.length) return subs.flatMap((sub) => unfold(command, sub, [...path, sub]));
  const name = [command.name, ...path.map((sub) => sub.name)].join(" ");
  return [{ command, path, name, description: node.description, options: node.options ?? [] }];
}

/** Entries that fit, best first: the name begins with the words, a part of it does, name or description contain them. */
export function filterEntries(entries, words) {
  const wanted = words.trim().toLowerCase();
  const rank = ({ name, description }) => {
    if (name.startsWith(wanted)) return 0;
    if (name.split(" ").some((part) => part.startsWith(wanted))) return 1;
    if (name.includes(wanted)) return 2;
    return description.toLowerCase().includes(wanted) ? 3 : null;
  };
  return entries.map((entry) => [rank(entry), entry]).filter(([order]) => order !== null).sort((a, b) => a[0] - b[0]).map(([, entry]) => entry);
}

/** The text of an editor as the option's value: { value }, { error: sentence }, or {} when nothing was entered. */
export function checkOption(option, text) {
  if (text === "" || text === null) return option.required ? { error: `${option.name} is required.` } : {};
  if (option.choices?.length || option.type === OPTION.BOOLEAN) return checkChoice(option, text);
  if (option.type === OPTION.STRING) return checkText(option, text);
  if (option.type === OPTION.INTEGER || option.type === OPTION.NUMBER) return checkNumber(option, text);
  return { value: text };
}

/** What can be picked for this option: { label, value }, or null where it is typed freely. */
export function choicesFor(option, state) {
  if (option.choices?.length) return option.choices.map((choice) => ({ label: choice.name, value: choice.value }));
  if (option.type === OPTION.BOOLEAN) return [{ label: "Yes", value: true }, { label: "No", value: false }];
  if (option.type === OPTION.USER) return usersOf(state);
  if (option.type === OPTION.ROLE) return rolesOf(state.guild);
  if (option.type === OPTION.MENTIONABLE) return [...usersOf(state), ...rolesOf(state.guild)];
  if (option.type === OPTION.CHANNEL) return [...state.channels.values()].filter((it) => it.guild_id === state.channel.guild_id).map((it) => ({ label: `#${it.name}`, value: it.id }));
  if (option.type === OPTION.ATTACHMENT) return [];
  return null;
}

function checkChoice(option, text) {
  const names = option.type === OPTION.BOOLEAN ? { yes: true, no: false, true: true, false: false } : Object.fromEntries(option.choices.map((choice) => [choice.name.toLowerCase(), choice.value]));
  const value = names[String(text).trim().toLowerCase()];
  return value === undefined ? { error: `${option.name}: choose one from the list.` } : { value };
}

function checkText(option, text) {
  const length = [...text].length;
  const least = option.min_length ?? 0;
  const most = option.max_length ?? 6000;
  if (length < least) return { error: `${option.name} needs at least ${least} characters.` };
  if (length > most) return { error: `${option.name} has ${length} characters; ${most} is the most.` };
  return { value: text };
}

function checkNumber(option, text) {
  const whole = option.type === OPTION.INTEGER;
  const value = Number(text.trim());
  const shaped = whole ? /^-?\d{1,16}$/.test(text.trim()) && Number.isSafeInteger(value) : /^-?\d+(\.\d+)?$/.test(text.trim());
  if (!shaped) return { error: `${option.name} must be a ${whole ? "whole " : ""}number${rangeWords(option)}.` };
  if (value < (option.min_value ?? -Infinity) || value > (option.max_value ?? Infinity)) return { error: `${option.name} must be${rangeWords(option)}.` };
  return { value };
}

export function rangeWords({ min_value, max_value }) {
  if (min_value !== undefined && max_value !== undefined) return ` from ${min_value} to ${max_value}`;
  if (min_value !== undefined) return ` at least ${min_value}`;
  return max_value === undefined ? "" : ` at most ${max_value}`;
}

/** The body of a command request from an entry and its values, sub-commands nested as Discord nests them. */
export function commandBody(entry, values) {
  const given = entry.options.filter((option) => values.has(option.name)).map(({ name, type }) => ({ name, type, value: values.get(name) }));
  const options = entry.path.reduceRight((inner, sub) => [{ name: sub.name, type: sub.type, options: inner }], given);
  return { name: entry.command.name, command_type: SLASH, options };
}
