/** Stamps: headers that mark every task of a canvas. Pure, on the JSON form. Python: the `stamp`s of `celery/canvas.py`. */
import type { SignatureData } from "../protocol/wire.ts";
import { asGroup, bodyOf, headerOf, kindOf, tasksOf, withOptions } from "./data.ts";

type Stamps = Readonly<Record<string, unknown>>;

/** Stamps every task of a signature and what is linked to them. A stamp of the same name is replaced. */
export function stampAll(data: SignatureData, stamps: Stamps): SignatureData {
  const given = asGroup(data);
  switch (kindOf(given)) {
    case "chain":
    case "group": {
      const tasks = tasksOf(given).map((task) => stampAll(task, stamps));
      return { ...stampLinks(given, stamps), kwargs: { ...given.kwargs, tasks } };
    }
    case "chord": {
      const header = stampAll(headerOf(given), stamps);
      const body = stampAll(bodyOf(given), stamps);
      return { ...stampLinks(given, stamps), kwargs: { ...given.kwargs, header, body } };
    }
    case "chunks":
    case "task":
      return stampOne(stampLinks(given, stamps), stamps);
  }
}

function stampOne(data: SignatureData, stamps: Stamps): SignatureData {
  const there: unknown = data.options["stamped_headers"];
  const names = new Set([...(Array.isArray(there) ? (there as string[]) : []), ...Object.keys(stamps)]);
  return withOptions(data, { ...data.options, ...stamps, stamped_headers: [...names] });
}

function stampLinks(data: SignatureData, stamps: Stamps): SignatureData {
  const { link, link_error: linkError } = data.options;
  if (link === undefined && linkError === undefined) return data;
  const options: Record<string, unknown> = { ...data.options };
  if (link !== undefined) options["link"] = stampList(link, stamps);
  if (linkError !== undefined) options["link_error"] = stampList(linkError, stamps);
  return withOptions(data, options);
}

function stampList(value: unknown, stamps: Stamps): unknown {
  if (value === null) return value;
  const all = (Array.isArray(value) ? value : [value]) as readonly SignatureData[];
  return all.map((one) => stampAll(one, stamps));
}
