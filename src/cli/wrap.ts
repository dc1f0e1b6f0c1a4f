/** Lines of a text that are no longer than `width`, broken between words. */
export function wrapped(text: string, how: { readonly width: number; readonly indent: number }): string {
  const pad = " ".repeat(how.indent);
  const lines: string[] = [];
  let line = pad;
  for (const word of text.split(" ")) {
    if (line !== pad && line.length + 1 + word.length > how.width) {
      lines.push(line);
      line = pad;
    }
    line += line === pad ? word : ` ${word}`;
  }
  return [...lines, line].join("\n");
}
