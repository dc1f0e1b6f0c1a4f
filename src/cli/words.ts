/** The word after a command that says what it is to do. */
import { didYouMean } from "../base/nearest.ts";
import { PetioleError } from "../errors.ts";

/** What the word stands for. @throws PetioleError `PET_USAGE` */
export function wordOf<T>(words: Readonly<Record<string, T>>, word: string, command: string): T {
  const found = Object.hasOwn(words, word) ? words[word] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(words);
  throw new PetioleError(
    "PET_USAGE",
    `petiole ${command} does not know ${JSON.stringify(word)}${didYouMean(word, names) || "."} Say one of ${names.join(", ")}`,
  );
}
