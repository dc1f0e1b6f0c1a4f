// One chord of tasks of both languages, and what its last task made of them. Prints one JSON line.
import { chord } from "petiole";
import { app, divide, sum } from "./tasks.ts";

const factorial = app.remote<(n: number) => { value: number; ranOn: string }>("demo.python.factorial");

const result = await chord([factorial.s(4), divide.s(9, 3), factorial.s(5)], sum.s()).delay();
process.stdout.write(`${JSON.stringify(await result.get({ timeout: 20 }))}\n`);
await app.close();
