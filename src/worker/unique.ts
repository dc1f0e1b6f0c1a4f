/** What a worker does with the key of a unique task: asks for it before the start, and frees it when the task is over. */
import type { Logger } from "../base/logger.ts";
import type { DecodedTask } from "../protocol/wire.ts";
import type { Claim, Transport, UniqueKey } from "../transports/transport.ts";
import { readUniqueKey, UNIQUE_HEADER } from "../transports/unique-locks.ts";
import type { Request } from "./request.ts";
import type { Settler } from "./settler.ts";

export interface UniqueTasksOptions {
  readonly transport: Transport;
  readonly settler: Settler;
  readonly logger: Logger;
}

export class UniqueTasks {
  readonly #options: UniqueTasksOptions;

  constructor(options: UniqueTasksOptions) {
    this.#options = options;
  }

  /** Rejects when the connection was closed for good. */
  claim({ id }: Request, unique: UniqueKey): Promise<Claim> {
    return this.#options.transport.unique.claim(unique, id);
  }

  /** The task is over. What was settled with it leaves first. */
  release(id: string, unique: UniqueKey): void {
    const { transport, settler, logger } = this.#options;
    const released = new Promise<void>((resolve, reject) => {
      setImmediate(() => {
        transport.unique.release(unique, id).then(resolve, reject);
      });
    }).catch((err: unknown) => {
      logger.warn(
        { id, key: unique.key, err },
        "the key of a unique task could not be freed: it ends with its ttl",
      );
    });
    settler.await(released);
  }

  /** Of a message that is no request. */
  releaseOf({ id, headers }: DecodedTask): void {
    const unique = readUniqueKey(headers[UNIQUE_HEADER]);
    if (unique !== null) this.release(id, unique);
  }
}
