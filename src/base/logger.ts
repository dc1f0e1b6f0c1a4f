/** The logger's shape, and one that says nothing. */

/** pino's, console's and most others' shape: fields first, then a constant message. */
export interface Logger {
  /** For whoever looks for a fault. */
  debug(fields: object, message: string): void;
  /** What went as it should. */
  info(fields: object, message: string): void;
  /** What somebody should look at. */
  warn(fields: object, message: string): void;
  /** What went wrong. */
  error(fields: object, message: string): void;
  /** A logger that adds `fields` to each line. */
  child(fields: object): Logger;
}

/** Drops everything. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
