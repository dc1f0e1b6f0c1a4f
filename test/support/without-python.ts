/**
 * Why Python's Celery is not to be had on this machine, as `make test` found; undefined where it is. The interop suite is
 * then NOT RUN as a whole; a test of another suite uses this for the part that needs Python. Never set in CI.
 */
export const withoutPython: string | undefined =
  process.env["CI"] === "true" ? undefined : process.env["PETIOLE_WITHOUT_PYTHON"];
