// A form that the bot opened (a modal): labels with fields. Focus stays inside, Escape closes it.
import { h } from "./dom.js";
import { TYPE } from "./components.js";
import { markdown } from "./markdown_dom.js";
import { choicesOf, countProblem, drawDescription, drawMenu, drawTicks } from "./selects.js";

const PARAGRAPH = 2;

export class ModalForm {
  constructor(app) {
    this.app = app;
    this.dialog = h("dialog", { class: "modal", "data-testid": "modal", "aria-labelledby": "modal-title" });
    document.body.append(this.dialog);
    app.state.on("modal", (event) => this.open(event));
    app.state.on("snapshot", ({ samePerson }) => samePerson || this.dialog.close());
  }

  open({ interaction_id, modal }) {
    const fields = [];
    const parts = modal.components.map((component) => drawTop(component, fields, this.app));
    const error = h("p", { class: "problem", role: "alert", "data-testid": "modal-error" });
    const cancel = h("button", { class: "button button-2", type: "button", "data-testid": "modal-cancel", onclick: () => this.dialog.close() }, "Cancel");
    const submit = h("button", { class: "button button-1", type: "submit", "data-testid": "modal-submit" }, "Submit");
    const form = h("form", { novalidate: true, "aria-labelledby": "modal-title" }, h("h2", { id: "modal-title", dir: "auto" }, modal.title), h("div", { class: "modal-fields" }, parts), error, h("div", { class: "modal-foot" }, cancel, submit));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send({ interaction_id, modal, fields, error, submit });
    });
    this.dialog.replaceChildren(form);
    if (!this.dialog.open) this.dialog.showModal();
    fields[0]?.focus();
  }

  async #send({ interaction_id, modal, fields, error, submit }) {
    const wrong = fields.filter((field) => {
      const problem = field.check();
      field.problem(problem);
      return problem;
    });
    if (wrong.length) return wrong[0].focus();
    submit.disabled = true;
    try {
      for (const field of fields) await field.upload?.(interaction_id);
      const values = modal.components.map((component) => valueOf(component, fields)).filter(Boolean);
      await this.app.submitForm(interaction_id, modal.custom_id, values);
      this.dialog.close();
    } catch (refused) {
      error.textContent = refused.message;
    } finally {
      submit.disabled = false;
    }
  }
}

/** Draws one component of a form: a label or an (older) row with its field, or a text display. */
function drawTop(component, fields, app) {
  if (component.type === TYPE.TEXT) return markdown(component.content, app);
  const inner = component.component ?? component.components?.[0];
  const draw = FIELDS[inner?.type];
  if (!draw) return h("p", { class: "elsewhere" }, `This page does not know form fields of type ${inner?.type ?? component.type}.`);
  const label = component.label ?? inner.label ?? "";
  const field = draw(inner, label, app);
  field.component = inner;
  fields.push(field);
  const hint = component.description ? h("p", { class: "quiet", dir: "auto" }, component.description) : null;
  const name = field.input ? h("label", { for: field.input.id, dir: "auto" }, label, required(inner)) : h("p", { class: "label", dir: "auto" }, label, required(inner));
  return h("div", { class: "modal-field" }, name, hint, field.node);
}

function required(inner) {
  return inner.required === false || inner.type === TYPE.CHECKBOX ? null : h("span", { class: "star", title: "required" }, " *");
}

function valueOf(component, fields) {
  if (component.type === TYPE.TEXT) return null;
  const read = (inner) => fields.find((field) => field.component === inner)?.answer() ?? null;
  if (component.type === TYPE.LABEL) return { type: TYPE.LABEL, id: component.id, component: read(component.component) };
  return { type: TYPE.ROW, id: component.id, components: [read(component.components[0])].filter(Boolean) };
}

function drawText(input, label) {
  const props = { id: `field-${input.custom_id}`, "data-testid": `field-${input.custom_id}`, placeholder: input.placeholder, autocomplete: "off", dir: "auto", "aria-describedby": `wrong-${input.custom_id}` };
  const field = h(input.style === PARAGRAPH ? "textarea" : "input", { ...props, rows: input.style === PARAGRAPH ? 4 : null, type: input.style === PARAGRAPH ? null : "text" });
  field.value = input.value ?? "";
  const most = input.max_length ?? 4000;
  const counter = h("span", { class: "counter", "aria-hidden": "true" });
  const error = h("p", { class: "problem", id: `wrong-${input.custom_id}`, role: "alert" });
  const length = () => [...field.value].length;
  const count = () => {
    counter.textContent = `${length()}/${most}`;
    counter.classList.toggle("over", length() > most);
  };
  field.addEventListener("input", count);
  count();
  const check = () => {
    if (length() === 0) return input.required === false ? null : `${label || "This"} is required.`;
    if (length() < (input.min_length ?? 0)) return `At least ${input.min_length} characters.`;
    return length() > most ? `${length()} characters; ${most} is the most.` : null;
  };
  return {
    node: h("div", { class: "modal-text" }, field, counter, error),
    input: field,
    check,
    problem: (words) => (error.textContent = words ?? ""),
    focus: () => field.focus(),
    answer: () => ({ type: TYPE.TEXT_INPUT, id: input.id, custom_id: input.custom_id, value: field.value }),
  };
}

function drawPick(input, label, app) {
  const choices = choicesOf(input, app.state);
  if (choices.length === 0) return drawNothing(input);
  if ((input.max_values ?? 1) > 1) return drawSeveral(input, label, choices);
  const field = drawMenu(input, choices, { id: `field-${input.custom_id}`, "data-testid": `field-${input.custom_id}` });
  const error = h("p", { class: "problem", role: "alert" });
  return {
    node: h("div", {}, field, drawDescription(field, choices), error),
    input: field,
    check: () => (field.value === "" && input.required !== false ? "Choose one." : null),
    problem: (words) => (error.textContent = words ?? ""),
    focus: () => field.focus(),
    answer: () => ({ type: input.type, id: input.id, custom_id: input.custom_id, values: field.value === "" ? [] : [field.value] }),
  };
}

/** Draws a select that has nothing to pick here, as roles in a direct message. */
function drawNothing(input) {
  const node = h("p", { class: "quiet", tabindex: -1 }, "There is nothing to choose here.");
  return { node, check: () => (input.required === false ? null : "This cannot be filled in here."), problem: () => {}, focus: () => node.focus(), answer: () => ({ type: input.type, id: input.id, custom_id: input.custom_id, values: [] }) };
}

function drawSeveral(input, label, choices = input.options) {
  const ticks = drawTicks(input, choices, label);
  const limits = { min_values: input.min_values ?? (input.required === false ? 0 : 1), max_values: input.max_values ?? choices.length };
  ticks.node.dataset.testid = `field-${input.custom_id}`;
  const empty = () => ticks.read().length === 0 && input.required === false;
  return { ...ticks, check: () => (empty() ? null : countProblem(ticks.read().length, limits)), answer: () => ({ type: input.type, id: input.id, custom_id: input.custom_id, values: ticks.read() }) };
}

function drawRadio(input, label) {
  const ticks = drawTicks(input, input.options, label, "radio");
  ticks.node.dataset.testid = `field-${input.custom_id}`;
  if (input.required === false) {
    ticks.node.append(h("button", { class: "link", type: "button", "data-testid": `clear-${input.custom_id}`, "aria-label": `Choose none for ${label}`, onclick: () => ticks.clear() }, "choose none"));
  }
  return { ...ticks, check: () => (input.required !== false && !ticks.read().length ? "Choose one." : null), answer: () => ({ type: input.type, id: input.id, custom_id: input.custom_id, value: ticks.read()[0] ?? null }) };
}

function drawCheckbox(input, label) {
  const box = h("input", { type: "checkbox", id: `field-${input.custom_id}`, "data-testid": `field-${input.custom_id}`, checked: input.default, "aria-label": label });
  return { node: box, input: box, check: () => null, problem: () => {}, focus: () => box.focus(), answer: () => ({ type: input.type, id: input.id, custom_id: input.custom_id, value: box.checked }) };
}

/** Draws a field for files. They are uploaded when the form is sent, which then names their ids. */
function drawFiles(input, _label, app) {
  const limits = { min_values: input.min_values ?? 1, max_values: input.max_values ?? 1 };
  const field = h("input", { type: "file", class: "files", id: `field-${input.custom_id}`, "data-testid": `field-${input.custom_id}`, multiple: limits.max_values > 1 });
  const error = h("p", { class: "problem", role: "alert" });
  let ids = [];
  return {
    node: h("div", {}, field, error),
    input: field,
    check: () => (field.files.length === 0 && input.required === false ? null : countProblem(field.files.length, limits)),
    problem: (words) => (error.textContent = words ?? ""),
    focus: () => field.focus(),
    async upload(interactionId) {
      ids = [];
      for (const file of field.files) ids.push((await app.upload(interactionId, file.name, await readBase64(file))).attachment_id);
    },
    answer: () => ({ type: TYPE.FILE_UPLOAD, id: input.id, custom_id: input.custom_id, values: ids }),
  };
}

function readBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

const FIELDS = {
  [TYPE.TEXT_INPUT]: drawText,
  [TYPE.STRING]: drawPick,
  [TYPE.USER]: drawPick,
  [TYPE.ROLE]: drawPick,
  [TYPE.MENTIONABLE]: drawPick,
  [TYPE.CHANNEL]: drawPick,
  [TYPE.RADIO_GROUP]: drawRadio,
  [TYPE.CHECKBOX_GROUP]: (input, label) => drawSeveral(input, label),
  [TYPE.CHECKBOX]: drawCheckbox,
  [TYPE.FILE_UPLOAD]: drawFiles,
};
