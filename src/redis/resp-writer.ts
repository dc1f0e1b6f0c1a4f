/** Writes commands as RESP. */
import { type Chunk, giveBack, RespBuffer } from "./resp-buffer.ts";

/** One argument of a command; a number is written in digits. A block stands last. */
export type RedisArg = string | Buffer | number | ArgBlock;

/**
 * Arguments that become bytes when they are added: for many texts that wait for their command, which so does not keep them in
 * memory. Goes into one command, once, as its last arguments.
 */
export class ArgBlock {
  /** Arguments. */
  count = 0;
  /** UTF-16 units of them. */
  units = 0;
  readonly #buffer = new RespBuffer();

  add(text: string): void {
    this.#buffer.text(text);
    this.count += 1;
    this.units += text.length;
  }

  drain(): readonly Chunk[] {
    return this.#buffer.drain();
  }

  /** For a wait of unknown length: keeps no more memory than the texts need. Nothing is added afterwards. */
  compact(): void {
    this.#buffer.compact();
  }
}

export class RespWriter {
  /** Sends bytes; answers whether they have left already, so that their memory may be used again. */
  readonly #send: (bytes: Buffer) => boolean;
  readonly #buffer = new RespBuffer();

  constructor(send: (bytes: Buffer) => boolean) {
    this.#send = send;
  }

  /** Adds one command; it leaves with `flush`. */
  command(name: string, args: readonly RedisArg[]): void {
    const buffer = this.#buffer;
    const last = args.at(-1);
    buffer.array(args.length + (last instanceof ArgBlock ? last.count : 1));
    buffer.text(name);
    for (const arg of args) {
      if (typeof arg === "string") buffer.text(arg);
      else if (typeof arg === "number") buffer.text(String(arg));
      else if (arg instanceof ArgBlock) buffer.append(arg.drain());
      else buffer.bytes(arg);
    }
  }

  flush(): void {
    for (const chunk of this.#buffer.drain()) if (this.#send(chunk.bytes)) giveBack(chunk);
  }
}
