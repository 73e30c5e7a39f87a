/** What stands in the place of an output that would run an author's scripts, where the operator doesn't trust them. */

export const REFUSAL = "This output runs scripts, and this folder is not trusted to.";
const HINT = "For authors: the operator can name it in ";
const SETTING = "DashboardsApp.trusted_folders";

/** For where only text goes. */
export const REFUSAL_TEXT = `${REFUSAL} ${HINT}${SETTING}.`;

export function refusal(): HTMLElement {
  const node = document.createElement("div");
  node.className = "dash-placeholder";
  const inner = document.createElement("div");
  const hint = document.createElement("small");
  const setting = document.createElement("code");
  setting.textContent = SETTING;
  hint.append(HINT, setting, ".");
  inner.append(REFUSAL, document.createElement("br"), hint);
  node.append(inner);
  return node;
}
