/** A cell's question to the viewer (Python's input()), where the server lets kernels ask. */
import type { KernelConnection } from "./kernel.ts";
import type { Message } from "./types.ts";

/** Shows the question below the cell's outputs; the answer goes to the kernel and the question away. */
export function ask(outputs: HTMLElement, request: Message, kernel: KernelConnection): void {
  const form = document.createElement("form");
  form.className = "dash-prompt";
  const label = document.createElement("label");
  label.textContent = String(request.content.prompt ?? "") || "Input";
  const input = document.createElement("input");
  input.type = request.content.password ? "password" : "text";
  input.autocomplete = "off";
  const button = document.createElement("button");
  button.textContent = "Send";
  label.append(input);
  form.append(label, button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.remove();
    kernel.send("stdin", "input_reply", { status: "ok", value: input.value }, { parent: request.header });
  });
  // Beside the outputs, not among them: these may be cleared while the question stands.
  outputs.after(form);
  input.focus({ preventScroll: true });
}
