/** Outputs as nbformat stores them (https://nbformat.readthedocs.io/en/latest/format_description.html#code-cell-outputs). */
import type { Message } from "../types.ts";

export type StoredOutput = Record<string, unknown> & { output_type: string };

/** The list after one more output message; consecutive text of one stream is one output. Pure. */
export function appendOutput(outputs: StoredOutput[], { header, content }: Message): StoredOutput[] {
  const last = outputs.at(-1);
  switch (header.msg_type) {
    case "stream":
      if (last?.output_type === "stream" && last["name"] === content["name"]) {
        return [...outputs.slice(0, -1), { ...last, text: `${asText(last["text"])}${asText(content["text"])}` }];
      }
      return [...outputs, { output_type: "stream", name: content["name"], text: content["text"] }];
    case "display_data":
      return [...outputs, { output_type: "display_data", data: content["data"], metadata: content["metadata"] ?? {} }];
    case "execute_result":
      return [
        ...outputs,
        {
          output_type: "execute_result",
          execution_count: content["execution_count"] ?? null,
          data: content["data"],
          metadata: content["metadata"] ?? {},
        },
      ];
    case "error": {
      const { ename, evalue, traceback } = content;
      return [...outputs, { output_type: "error", ename, evalue, traceback }];
    }
    default:
      return outputs;
  }
}

const asText = (text: unknown): string => (Array.isArray(text) ? text.join("") : String(text ?? ""));
