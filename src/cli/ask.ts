/** A question on the terminal. */
import { createInterface } from "node:readline";

/** The line that was typed; null when the input ends without one. */
export function ask(question: string): Promise<string | null> {
  const lines = createInterface({ input: process.stdin });
  process.stderr.write(question);
  return new Promise((resolve) => {
    lines.once("line", (line) => {
      resolve(line);
      lines.close();
    });
    lines.once("close", () => resolve(null));
  });
}
