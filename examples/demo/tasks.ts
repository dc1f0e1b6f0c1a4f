// The TypeScript half of `make demo`. Where the broker is comes from CELERY_BROKER_URL and CELERY_RESULT_BACKEND, as in Celery.
import { hostname } from "node:os";
import { Celery } from "petiole";

export const app = new Celery("demo", {
  taskDefaultQueue: "typescript",
  taskRoutes: { "demo.python.*": { queue: "python" } },
});

/** Who ran it: shown in the demo's table. */
const ranOn = `Node ${process.versions.node}, pid ${process.pid}, ${hostname()}`;

export const slug = app.task("demo.typescript.slug", (title: string) => ({
  value: title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, "-")
    .replaceAll(/^-|-$/g, ""),
  ranOn,
}));

export const divide = app.task("demo.typescript.divide", (a: number, b: number) => {
  if (b === 0) throw new RangeError(`${a} divided by zero`);
  return { value: a / b, ranOn };
});

/** Of answers of either language. */
export const sum = app.task("demo.typescript.sum", (parts: { value: number; ranOn: string }[]) => ({
  value: parts.reduce((total, part) => total + part.value, 0),
  of: parts.map((part) => part.ranOn.split(" ")[0] as string),
  ranOn,
}));
