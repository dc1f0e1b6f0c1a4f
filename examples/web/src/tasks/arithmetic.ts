/** The shortest tasks there are: functions. */
import { sharedTask } from "petiole";

export const hello = sharedTask("web.hello", () => "Hello World!");

export const add = sharedTask("web.add", (x: number, y: number) => x + y);

export const multiply = sharedTask("web.multiply", (x: number, y: number) => x * y);
