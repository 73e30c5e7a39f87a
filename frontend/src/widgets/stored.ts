/** What stands in for the kernel in a file that a notebook was made into: the states of its widgets, and silence. */
import type { Kernel, Message } from "../types.ts";

type State = { version_major: number; version_minor: number; state: Record<string, unknown> };

export class StoredKernel implements Kernel {
  readonly sessionId = "";

  constructor(readonly state: State) {}

  send(): string {
    return "";
  }

  /** It has no comms, whatever is asked. */
  request(): Promise<Message> {
    return Promise.resolve({ content: {} } as Message);
  }

  onIOPub(): () => void {
    return () => {};
  }

  onReturn(): () => void {
    return () => {};
  }

  setOutputHook(): void {}
}

let kernel: StoredKernel | null | undefined;

/** One for the page; null where no states came with it. */
export function storedKernel(): StoredKernel | null {
  if (kernel === undefined) {
    const text = document.getElementById("dash-widgets")?.textContent;
    kernel = text ? new StoredKernel(JSON.parse(text) as State) : null;
  }
  return kernel;
}
