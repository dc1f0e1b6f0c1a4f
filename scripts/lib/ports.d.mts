/** A TCP port of the loopback interface that was free a moment ago. */
export function freePort(): Promise<number>;

/** Whether nobody listens there. */
export function isFree(port: number): Promise<boolean>;
