/** What a canvas is checked for when it is made. */
import type { SignatureData } from "../protocol/wire.ts";
import { bodyOf, chunksAsGroup, headerOf, kindOf, tasksOf } from "./data.ts";
import { splitWireOptions } from "./wire-options.ts";

/** Looks at every part: what is wrong is said when the signature is made, not when it is sent. */
export function checked(data: SignatureData): SignatureData {
  splitWireOptions(data.options);
  switch (kindOf(data)) {
    case "chain":
    case "group":
      tasksOf(data).forEach(checked);
      break;
    case "chord":
      checked(headerOf(data));
      checked(bodyOf(data));
      break;
    case "chunks":
      chunksAsGroup(data);
      break;
    case "task":
      break;
  }
  return data;
}
