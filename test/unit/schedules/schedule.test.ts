/** What a schedule is, when it is due; vectors were run on Celery 5.6.3 (random ones: test/interop/schedules.test.ts). */
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { requirePeer } from "../../../src/base/import-peer.ts";
import { readCronField } from "../../../src/schedules/cron-field.ts";
import { cron, crontab, crontabValues } from "../../../src/schedules/crontab.ts";
import { dueRun, nextRun } from "../../../src/schedules/due.ts";
import { clocked, type SolarEvent, schedule, scheduleText } from "../../../src/schedules/schedule.ts";
import { solar } from "../../../src/schedules/solar.ts";

const HOURS = { name: "hour", min: 0, max: 23 };
const DAYS = { name: "dayOfWeek", min: 0, max: 6 };
const ROME = "Europe/Rome";
const at = (text: string): number => Date.parse(text);

/** The next `count` runs after an instant, each seen from the one before. */
function runs(of: Parameters<typeof nextRun>[0], from: string, count: number, zone = "UTC"): string[] {
  const found: string[] = [];
  for (let last = at(from); found.length < count; ) {
    last = nextRun(of, last, zone);
    found.push(new Date(last).toISOString().slice(0, 16));
  }
  return found;
}

test.each([
  ["*/3,8-17", HOURS, [0, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21]],
  ["22-2", HOURS, [0, 1, 2, 22, 23]],
  ["22-2/2", HOURS, [0, 2, 22]],
  ["fri-mon", DAYS, [0, 1, 5, 6]],
  ["6-0", DAYS, [0, 6]],
  ["MON,wednesday", DAYS, [1, 3]],
  [" 1 , 2", HOURS, [1, 2]],
  ["dec-feb", { name: "monthOfYear", min: 1, max: 12 }, [1, 2, 12]],
  ["*/15", { name: "dayOfMonth", min: 1, max: 31 }, [1, 16, 31]],
])("the field %j", (text, range, values) => {
  expect(readCronField(text, range)).toEqual(values);
});

test.each([
  [{ minute: "5/10" }, /minute cannot be "5\/10": it is neither a number nor the name/],
  [{ dayOfWeek: "7" }, /dayOfWeek cannot be "7": 7 is not within 0-6/],
  [{ dayOfWeek: 7 }, /dayOfWeek cannot be 7: 7 is not within 0-6/],
  [{ minute: "1,,2" }, /a part between commas is empty/],
  [{ minute: "-1" }, /numbers below 0 are not known/],
  [{ minute: "*/0" }, /steps of 0 lead nowhere/],
  [{ minute: "*/" }, /no number follows the slash/],
  [{ dayOfWeek: [0, "mon"] as never }, /it takes a whole number, a text, or an array of whole numbers/],
  [{ minute: [] }, /it is empty/],
  [
    { dayOfMonth: 31, monthOfYear: "apr,jun" },
    /dayOfMonth 31 is in none of the months of monthOfYear "apr,jun"/,
  ],
  [{ timezone: "Mars/Base" }, /timezone "Mars\/Base" is not in the IANA database/],
  [{ minutes: 5 } as never, /there is no field "minutes"/],
])("%j is refused, and why is said", (fields, message) => {
  expect(() => crontab(fields)).toThrow(message);
});

test("an interval must be a time", () => {
  for (const wrong of [0, -1, Number.NaN, Infinity, "5" as never])
    expect(() => schedule(wrong)).toThrow(/seconds/);
});

test("day of the month and day of the week must both match", () => {
  const friday13 = crontab({ minute: 0, hour: 0, dayOfWeek: "fri", dayOfMonth: 13 });
  expect(runs(friday13, "2026-01-01T00:00:00Z", 3)).toEqual([
    "2026-02-13T00:00",
    "2026-03-13T00:00",
    "2026-11-13T00:00",
  ]);
});

test("29 February, and on a Monday", () => {
  expect(
    runs(crontab({ minute: 0, hour: 0, dayOfMonth: 29, monthOfYear: 2 }), "2026-01-01T00:00:00Z", 2),
  ).toEqual(["2028-02-29T00:00", "2032-02-29T00:00"]);
  const monday = crontab({ minute: 0, hour: 0, dayOfWeek: 1, dayOfMonth: 29, monthOfYear: 2 });
  expect(runs(monday, "2026-01-01T00:00:00Z", 2)).toEqual(["2044-02-29T00:00", "2072-02-29T00:00"]);
});

test("a skipped hour is run after the change, a repeated one the first time only", () => {
  const daily = crontab({ minute: 30, hour: 2 });
  expect(runs(daily, "2026-03-28T12:00:00Z", 2, ROME)).toEqual(["2026-03-29T01:30", "2026-03-30T00:30"]);
  expect(runs(daily, "2026-10-24T12:00:00Z", 2, ROME)).toEqual(["2026-10-25T00:30", "2026-10-26T01:30"]);
  const halves = crontab({ minute: "*/30" });
  expect(runs(halves, "2026-10-25T00:10:00Z", 2, ROME)).toEqual(["2026-10-25T00:30", "2026-10-25T02:00"]);
  // Begun in the repeated hour: no run of the first one comes again.
  expect(runs(halves, "2026-10-25T01:10:00Z", 2, ROME)).toEqual(["2026-10-25T02:00", "2026-10-25T02:30"]);
});

test("with dstFold both, a repeated hour is run twice; a skipped one as ever", () => {
  const daily = crontab({ minute: 30, hour: 2, dstFold: "both" });
  expect(runs(daily, "2026-10-24T12:00:00Z", 3, ROME)).toEqual([
    "2026-10-25T00:30",
    "2026-10-25T01:30",
    "2026-10-26T01:30",
  ]);
  expect(runs(daily, "2026-03-28T12:00:00Z", 2, ROME)).toEqual(["2026-03-29T01:30", "2026-03-30T00:30"]);
  const yearly = cron("30 2 25 10 *", { timezone: ROME, dstFold: "both" });
  expect(runs(yearly, "2026-10-25T00:30:00Z", 2)).toEqual(["2026-10-25T01:30", "2027-10-25T00:30"]);
  expect(() => crontab({ dstFold: "first" as never })).toThrow(
    /dstFold cannot be "first", but "celery" or "both"/,
  );
});

test("all times of a skipped hour are run, in order, and none twice that two times have in common", () => {
  const twice = crontab({ minute: "15,45", hour: 2 });
  expect(runs(twice, "2026-03-28T12:00:00Z", 3, ROME)).toEqual([
    "2026-03-29T01:15",
    "2026-03-29T01:45",
    "2026-03-30T00:15",
  ]);
  const both = crontab({ minute: "*/30", hour: "2,3" });
  expect(runs(both, "2026-03-28T12:00:00Z", 3, ROME)).toEqual([
    "2026-03-29T01:00",
    "2026-03-29T01:30",
    "2026-03-30T00:00",
  ]);
  // Half an hour is skipped there, from 02:00 on: 02:15 is run at 02:45, after 02:30, which there is.
  const howe = crontab({ minute: "15,30", hour: 2, timezone: "Australia/Lord_Howe" });
  expect(runs(howe, "2026-10-03T12:00:00Z", 3)).toEqual([
    "2026-10-03T15:30",
    "2026-10-03T15:45",
    "2026-10-04T15:15",
  ]);
});

test("a cron expression has the standard meaning: one of the two days is enough, 7 is Sunday", () => {
  expect(runs(cron("0 9 * * 1-5"), "2026-01-02T10:00:00Z", 2)).toEqual([
    "2026-01-05T09:00",
    "2026-01-06T09:00",
  ]);
  expect(runs(cron("0 0 13 * fri"), "2026-02-01T00:00:00Z", 4)).toEqual([
    "2026-02-06T00:00",
    "2026-02-13T00:00",
    "2026-02-20T00:00",
    "2026-02-27T00:00",
  ]);
  expect(runs(cron("0 0 */10 * fri"), "2026-01-02T00:00:00Z", 1)).toEqual(["2026-05-01T00:00"]);
  expect(runs(cron("0 0 31 2 mon"), "2026-02-01T00:00:00Z", 1)).toEqual(["2026-02-02T00:00"]);
  for (const text of ["0 0 * * 7", "0 0 * * sun", "@weekly"]) {
    expect(crontabValues(cron(text)).dayOfWeek).toEqual([0]);
  }
  expect(crontabValues(cron("0 0 * * 5-7")).dayOfWeek).toEqual([0, 5, 6]);
  expect(runs(cron(" @Hourly "), "2026-01-01T00:10:00Z", 1)).toEqual(["2026-01-01T01:00"]);
  expect(scheduleText(cron("0  9 * * 1-5"))).toBe("<cron: 0 9 * * 1-5>");
});

test.each([
  ["0 9 * *", /it has 4 fields, not the five/],
  ["0 0 9 * * 1", /it has 6 fields/],
  ["@reboot", /of those with @ there are @hourly/],
  ["0 9 L * *", /cron: day of the month cannot be "L"/],
  ["0 9 * * 8", /8 is not within 0-7/],
  ["0 0 31 4 *", /the day of the month "31" is in none of the months "4"/],
  [5 as never, /cron: 5 is no text/],
])("cron(%j) is refused, and why is said", (text, message) => {
  expect(() => cron(text)).toThrow(message);
});

test("clocked runs once", () => {
  const one = clocked("2026-03-29T02:30:00+02:00");
  expect(nextRun(one, at("2026-01-01T00:00:00Z"), ROME)).toBe(at("2026-03-29T00:30:00Z"));
  expect(nextRun(one, at("2026-03-29T00:30:00Z"), ROME)).toBe(Infinity);
  expect(clocked(new Date(at("2026-03-29T00:30:00Z")))).toEqual(one);
  expect(scheduleText(one)).toBe("<clocked: 2026-03-29T00:30:00+00:00>");
  for (const wrong of [new Date(Number.NaN), "soon", 5 as never])
    expect(() => clocked(wrong)).toThrow(/is not a time: give a Date/);
});

test("solar: the events of a day, days without one, and what cannot be", () => {
  const day = "2026-03-20T00:00:00Z";
  const next = (event: SolarEvent, lat = 45.46, lon = 9.19): string =>
    runs(solar(event, lat, lon), day, 1)[0] ?? "";
  expect(next("sunrise")).toMatch(/^2026-03-20T05:2/);
  expect(next("solar_noon")).toMatch(/^2026-03-20T11:30/);
  expect(next("sunset")).toMatch(/^2026-03-20T17:3/);
  const dawns = (["dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise"] as const).map((one) =>
    next(one),
  );
  expect(dawns).toEqual(dawns.toSorted());
  // Nothing rises in Longyearbyen between October and February.
  expect(runs(solar("sunrise", 78.22, 15.65), "2026-11-15T00:00:00Z", 1)[0]).toMatch(/^2027-02-1/);
  expect(nextRun(solar("sunrise", 90, 0), at(day), "UTC")).toBe(Infinity);
  const rising = solar("sunrise", 45.46, 9.19);
  const first = nextRun(rising, at(day), "UTC");
  const third = nextRun(rising, nextRun(rising, first, "UTC"), "UTC");
  expect(
    dueRun(rising, { lastRunAtMs: at("2000-01-01T00:00:00Z"), nowMs: third + 60_000, zone: "UTC" }),
  ).toBe(third);
  // One event is one instant, wherever it is looked for from.
  for (let hours = 1; hours < 5; hours += 1) {
    expect(nextRun(solar("sunrise", 45.46, 9.19), at(day) + hours * 3_600_000, "UTC")).toBe(first);
  }
  expect(() => solar("moonrise" as never, 0, 0)).toThrow(
    /there is no event "moonrise", but dawn_astronomical/,
  );
  expect(() => solar("sunset", 91, 0)).toThrow(/lat cannot be 91/);
  expect(() => solar("sunset", 0, Number.NaN)).toThrow(/lon cannot be/);
  expect(scheduleText(solar("sunset", 45.46, 9.19))).toBe(
    "<solar: sunset at latitude 45.46, longitude: 9.19>",
  );
});

test("a package that is missing is named with its npm command", () => {
  const load = createRequire(import.meta.url);
  expect(() => requirePeer("no-such-package", "solar", load)).toThrow(
    /solar needs the package no-such-package: npm install no-such-package/,
  );
});

test("a relative day is one of the calendar", () => {
  const daily = schedule(86_400, { relative: true });
  expect(runs(daily, "2026-10-24T12:00:00Z", 3, ROME)).toEqual([
    "2026-10-24T22:00",
    "2026-10-25T23:00",
    "2026-10-26T23:00",
  ]);
  expect(runs(daily, "2026-03-28T12:00:00Z", 2, ROME)).toEqual(["2026-03-28T23:00", "2026-03-29T22:00"]);
});

test("a crontab's own zone goes before the setting", () => {
  const noon = crontab({ minute: 0, hour: 12, timezone: "Asia/Tokyo" });
  expect(runs(noon, "2026-01-01T00:00:00Z", 1, ROME)).toEqual(["2026-01-01T03:00"]);
});

test("missed runs are one: the latest", () => {
  const zone = "UTC";
  const due = (of: Parameters<typeof dueRun>[0], last: string, now: string): string | null => {
    const run = dueRun(of, { lastRunAtMs: at(last), nowMs: at(now), zone });
    return run === null ? null : new Date(run).toISOString();
  };
  expect(due(schedule(10), "2026-01-01T00:00:00Z", "2026-01-01T00:00:09.999Z")).toBeNull();
  expect(due(schedule(10), "2026-01-01T00:00:03Z", "2026-01-03T00:00:39Z")).toBe("2026-01-03T00:00:33.000Z");
  expect(due(schedule(3600, { relative: true }), "2026-01-01T00:20:00Z", "2026-01-01T05:59:00Z")).toBe(
    "2026-01-01T05:00:00.000Z",
  );
  expect(due(crontab({ minute: "*/20" }), "2026-01-01T00:00:00Z", "2026-01-04T10:59:00Z")).toBe(
    "2026-01-04T10:40:00.000Z",
  );
  expect(due(crontab({ minute: 0, hour: 4 }), "2026-01-01T04:00:00Z", "2026-01-04T03:59:00Z")).toBe(
    "2026-01-03T04:00:00.000Z",
  );
  expect(
    due(
      crontab({ minute: 0, hour: 0, dayOfMonth: 1, monthOfYear: 1 }),
      "2020-01-01T00:00:00Z",
      "2026-05-01T00:00:00Z",
    ),
  ).toBe("2026-01-01T00:00:00.000Z");
});

test("the latest of the missed runs is the one that going through all of them finds", () => {
  const samples = [
    crontab({ minute: "*/7", hour: "1-3" }),
    crontab({ minute: "0,59", hour: "23-2", dayOfWeek: "sun" }),
    schedule(977),
    schedule(5400, { relative: true }),
    schedule(90_000, { relative: true }),
  ];
  for (const of of samples) {
    for (const [last, now] of [
      ["2026-03-27T11:11:00Z", "2026-03-29T02:10:00Z"],
      ["2026-10-23T00:01:00Z", "2026-10-25T01:10:00Z"],
      ["2026-03-20T11:00:00Z", "2026-04-09T11:00:00Z"],
    ] as const) {
      const moment = { lastRunAtMs: at(last), nowMs: at(now), zone: ROME };
      let latest: number | null = null;
      for (let next = nextRun(of, at(last), ROME); next <= at(now); next = nextRun(of, next, ROME))
        latest = next;
      expect([scheduleText(of), last, dueRun(of, moment)]).toEqual([scheduleText(of), last, latest]);
    }
  }
});

test("an interval is real time, whatever the clocks of the zone do", () => {
  const last = at("2026-03-29T00:30:00Z");
  expect(nextRun(schedule(7200), last, ROME)).toBe(last + 7_200_000);
});

test("schedules are shown as Celery shows them", () => {
  expect(scheduleText(crontab({ minute: 0, hour: "*/4", dayOfWeek: "mon" }))).toBe(
    "<crontab: 0 */4 * * mon (m/h/dM/MY/d)>",
  );
  expect([30, 90, 300, 3600, 90_000].map((every) => scheduleText(schedule(every)))).toEqual([
    "<freq: 30.00 seconds>",
    "<freq: 1.50 minutes>",
    "<freq: 5.00 minutes>",
    "<freq: 1.00 hour>",
    "<freq: 1.04 days>",
  ]);
});

test("what a crontab stands for cannot be changed", () => {
  const one = crontab({ minute: [30, 10, 30] });
  expect(crontabValues(one).minute).toEqual([10, 30]);
  expect(Object.isFrozen(one) && Object.isFrozen(crontabValues(one).minute)).toBe(true);
});
