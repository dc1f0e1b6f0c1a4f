import { Celery } from "petiole";

export const app = new Celery("parked", {
  brokerUrl: process.env.PARKED_BROKER,
  resultBackend: process.env.PARKED_BACKEND,
});
export const noop = app.task("parked.noop", { params: ["i"] }, (_i) => null);
