/** The words of the commands that help a developer. */
import type { CommandSpec } from "../option-types.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

export const REPORT: CommandSpec = {
  name: "report",
  about: "print versions and settings for a bug report, without secrets",
  arguments: [],
  options: [],
  json: { shape: '{"petiole", "node", "platform", "settings": {…}}' },
  examples: [["petiole -A app report", "the settings that differ from their defaults"]],
};

export const COMPLETE: CommandSpec = {
  name: "complete",
  about: "print a completion script for a shell",
  arguments: [{ name: "<shell>", about: SHELLS.join(", "), words: SHELLS }],
  options: [],
  json: { shape: '{"shell", "script"}' },
  examples: [
    [`source <(petiole complete bash)`, "in ~/.bashrc; zsh likewise in ~/.zshrc"],
    ["petiole complete fish > ~/.config/fish/completions/petiole.fish", "once"],
  ],
};
