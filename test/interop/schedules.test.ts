/**
 * Schedules against Celery's: random expressions at random instants, half of them drawn to be hard.
 * `PETIOLE_SCHEDULE_CASES=100000` (make schedules) asks more of them.
 */
import { Body, Equator, Horizon, Observer } from "astronomy-engine";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { segmentAt, wallOf } from "../../src/base/time-zone.ts";
import { crontab } from "../../src/schedules/crontab.ts";
import { nextRun } from "../../src/schedules/due.ts";
import { type SolarEvent, schedule } from "../../src/schedules/schedule.ts";
import { solar } from "../../src/schedules/solar.ts";
import { type PythonClient, startPythonClient } from "../support/python.ts";
import { seed } from "../support/seed.ts";
import { zoneChanges } from "../support/zone-changes.ts";

const CASES = Number(process.env["PETIOLE_SCHEDULE_CASES"] ?? 2000);
const BATCH = 2000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const FROM = Date.UTC(2020, 0, 1);
const TO = Date.UTC(2035, 11, 31);

let python: PythonClient;
beforeAll(async () => {
  python = await startPythonClient({ broker: "memory://" });
});
afterAll(() => python?.stop());

interface Case {
  readonly zone: string;
  readonly fields: readonly (string | number | readonly number[])[];
  readonly last: number;
  readonly now: number;
}

const int = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
const padded = fc.constantFrom("", "", "", " ");

/** Texts of one field. The hard ones go around the end, in steps, with names, with spaces, or are wrong. */
function field(
  min: number,
  max: number,
  names: readonly string[],
): Record<"easy" | "hard", fc.Arbitrary<string | number | number[]>> {
  const one = int(min, max);
  const easy = fc.oneof(
    fc.constant("*"),
    one,
    one.map(String),
    fc.array(one, { minLength: 1, maxLength: 5 }),
    int(1, max).map((step) => `*/${step}`),
    fc.tuple(one, one).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
  );
  const word = names.length === 0 ? one.map(String) : fc.oneof(one.map(String), fc.constantFrom(...names));
  const part = fc.oneof(
    fc.tuple(word, word).map(([a, b]) => `${a}-${b}`),
    fc.tuple(word, word, int(1, 9)).map(([a, b, step]) => `${a}-${b}/${step}`),
    int(1, 40).map((step) => `*/${step}`),
    fc.tuple(padded, one, padded).map(([before, n, after]) => `${before}${n}${after}`),
    word,
  );
  const wrong = fc.constantFrom(
    "5/10",
    "L",
    "1,,2",
    "-1",
    "*/0",
    "60",
    "*/",
    "1-2-3",
    "",
    "7-",
    "1-5x",
    "*5",
    "1_0",
    "fry-3",
    "+3",
    "*/2/3",
    "2-4/2,",
    " 1-5",
  );
  return {
    easy,
    hard: fc.oneof(
      {
        weight: 40,
        arbitrary: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(",")),
      },
      { weight: 1, arbitrary: wrong },
    ),
  };
}

const DAYS = ["sun", "mon", "TUE", "Wednesday", "thu", "fri", "Sat", "jan"];
const MONTHS = [
  "jan",
  "february",
  "MAR",
  "apr",
  "may",
  "Jun",
  "jul",
  "aug",
  "sep",
  "oct",
  "nov",
  "dec",
  "mon",
];
const FIELDS = {
  minute: field(0, 59, []),
  hour: field(0, 23, []),
  dayOfWeek: field(0, 6, DAYS),
  dayOfMonth: field(1, 31, []),
  monthOfYear: field(1, 12, MONTHS),
};

/** minute, hour, day of the week, day of the month, month. */
const easyFields = fc.tuple(
  FIELDS.minute.easy,
  FIELDS.hour.easy,
  fc.oneof(fc.constant("*"), FIELDS.dayOfWeek.easy),
  fc.oneof(fc.constant("*"), FIELDS.dayOfMonth.easy),
  fc.oneof(fc.constant("*"), FIELDS.monthOfYear.easy),
);
const dense = {
  minute: fc.oneof(fc.constantFrom("*", "*/30", "*/7", "0", "30", "59"), FIELDS.minute.hard),
  hour: fc.oneof(fc.constantFrom("*", "0", "1", "2", "3", "1-3", "23-2", "*/2"), FIELDS.hour.hard),
};
const hardFields = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(
      dense.minute,
      dense.hour,
      fc.oneof(fc.constant("*"), FIELDS.dayOfWeek.hard),
      fc.constant("*"),
      fc.constant("*"),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(
      dense.minute,
      dense.hour,
      FIELDS.dayOfWeek.hard,
      FIELDS.dayOfMonth.hard,
      FIELDS.monthOfYear.hard,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(
      dense.minute,
      dense.hour,
      fc.oneof(fc.constant("*"), FIELDS.dayOfWeek.hard),
      fc.constantFrom("29", "28-30", "29,31", "30", "31"),
      fc.constantFrom("2", "feb", "jan-mar/2", "feb-apr", "4,6"),
    ),
  },
);

function cases(count: number): Case[] {
  // Looking for the changes of all zones takes longer than the cases of a short run.
  const zones = Intl.supportedValuesOf("timeZone").filter((_, at) => count > 20_000 || at % 12 === seed % 12);
  const changes = zones.flatMap((zone) => zoneChanges(zone, FROM, TO).map((at) => ({ zone, at })));
  const later = fc.oneof(
    fc.constant(0),
    int(0, 120_000),
    int(0, 3 * HOUR_MS),
    int(0, 3 * DAY_MS),
    int(0, 400 * DAY_MS),
  );
  const easy = fc.record({
    zone: fc.constantFrom("UTC", ...zones),
    fields: easyFields,
    last: int(FROM, TO),
    later,
  });
  const hard = fc
    .record({
      change: fc.constantFrom(...changes),
      fields: hardFields,
      before: fc.oneof(
        { weight: 2, arbitrary: int(-2 * HOUR_MS, 2 * HOUR_MS) },
        { weight: 1, arbitrary: int(-30 * HOUR_MS, 0) },
      ),
      later,
    })
    .map(({ change: { zone, at }, before, ...rest }) => ({ ...rest, zone, last: at + before }));
  const half = Math.ceil(count / 2);
  const drawn = [...fc.sample(easy, { numRuns: half, seed }), ...fc.sample(hard, { numRuns: half, seed })];
  return drawn.map(({ zone, fields, last, later: ms }) => ({ zone, fields, last, now: last + ms }));
}

const PYTHON_CRONTAB = `
  from datetime import timezone, timedelta
  from zoneinfo import ZoneInfo
  from celery.schedules import crontab
  epoch = datetime.datetime(1970, 1, 1, tzinfo=timezone.utc)
  def at(ms, zone):
      return (epoch + timedelta(milliseconds=ms)).astimezone(zone)
  answers = []
  for case in args:
      zone = ZoneInfo(case["zone"])
      last, now = at(case["last"], zone), at(case["now"], zone)
      try:
          found = []
          for moment in (last, now):
              one = crontab(*case["fields"], nowfun=lambda: moment)
              one.__dict__["tz"] = zone
              found.append(round(one.remaining_estimate(last) / timedelta(milliseconds=1)))
          answers.append(found)
      except Exception as error:
          answers.append(type(error).__name__)
  return answers
`;

/** The run after the last one: ms from the last one, and from now. */
type Answer = readonly [number, number] | string;

function ours({ fields, zone, last, now }: Case): Answer {
  const [minute, hour, dayOfWeek, dayOfMonth, monthOfYear] = fields;
  try {
    const next = nextRun(crontab({ minute, hour, dayOfWeek, dayOfMonth, monthOfYear }), last, zone);
    return [next - last, next - now];
  } catch (error) {
    return (error as Error).name;
  }
}

/**
 * What `docs/schedules.md` says is different, and nothing else.
 * - repeated: Celery takes a run in the repeated hour for the first one, so that the next lies before it.
 * - skipped: Celery takes one wall time after the other, and passes over runs that the end of a skipped time brings together.
 * - midnight: Celery looks at what is left of the last run's hour only while its day lasts.
 */
function documented({ zone, last, now }: Case, here: Answer, there: Answer): string | null {
  if (typeof here === "string" || typeof there === "string") return null;
  const next = last + here[0];
  if (last + there[0] <= last) return next > last ? "repeated" : null;
  const { startMs, offsetMs, beforeMs } = segmentAt(next, zone);
  if (here[0] < there[0] && next >= startMs && next < startMs + offsetMs - beforeMs) return "skipped";
  if (here[0] !== there[0]) return null;
  const [wallNext, wallLast, wallNow] = [next, last, now].map((ms) => wallOf(ms, zone)) as [
    number,
    number,
    number,
  ];
  const hourOf = (wall: number): number => Math.floor(wall / HOUR_MS);
  const dayOf = (wall: number): number => Math.floor(wall / DAY_MS);
  // A run of a skipped time belongs to the hour that its time was to be in.
  const skippedMs = next < startMs + offsetMs - beforeMs ? offsetMs - beforeMs : 0;
  const sameHour = [wallNext, wallNext - skippedMs].some((wall) => hourOf(wall) === hourOf(wallLast));
  return sameHour && dayOf(wallNow) !== dayOf(wallLast) ? "midnight" : null;
}

test(
  `crontab: ${CASES} expressions at instants, half of them hard, as Celery's remaining_estimate`,
  async () => {
    const all = cases(CASES);
    const differences: unknown[] = [];
    let refused = 0;
    const known: Record<string, number> = { repeated: 0, skipped: 0, midnight: 0 };
    for (let from = 0; from < all.length; from += BATCH) {
      const batch = all.slice(from, from + BATCH);
      const theirs = await python.value<Answer[]>(PYTHON_CRONTAB, batch);
      for (const [index, one] of batch.entries()) {
        const [here, there] = [ours(one), theirs[index] as Answer];
        if (typeof here === "string" && typeof there === "string") refused += 1;
        else if (here[0] !== there[0] || here[1] !== there[1]) {
          const why = documented(one, here, there);
          if (why === null) differences.push({ ...one, here, there });
          else known[why] = (known[why] ?? 0) + 1;
        }
      }
    }
    process.stdout.write(
      `crontab: ${all.length} compared, ${differences.length} differences, ${refused} refused by both, documented ${JSON.stringify(known)}\n`,
    );
    expect(differences.slice(0, 5)).toEqual([]);
    expect(refused).toBeGreaterThan(0);
    const most = { repeated: 20, skipped: 100, midnight: 20 };
    for (const [why, share] of Object.entries(most)) expect(known[why]).toBeLessThan(all.length / share);
  },
  60_000 + CASES * 5,
);

const PYTHON_INTERVAL = `
  from datetime import timezone, timedelta
  from celery.schedules import schedule
  epoch = datetime.datetime(1970, 1, 1, tzinfo=timezone.utc)
  answers = []
  for every, relative, last, now in args:
      last, now = epoch + timedelta(milliseconds=last), epoch + timedelta(milliseconds=now)
      one = schedule(every, relative=relative, nowfun=lambda: now)
      answers.append(one.remaining_estimate(last) / timedelta(milliseconds=1))
  return answers
`;

test("intervals, relative ones too, as Celery's remaining_estimate", async () => {
  const every = fc.oneof(
    int(1, 200),
    int(1, 200_000),
    int(1000, 10_000).map((n) => n / 1000),
  );
  const drawn = fc.sample(fc.tuple(every, fc.boolean(), int(FROM, TO), int(0, 3 * DAY_MS)), {
    numRuns: 2000,
    seed,
  });
  const all = drawn.map(
    ([seconds, relative, last, later]) => [seconds, relative, last, last + later] as const,
  );
  const theirs = await python.value<number[]>(PYTHON_INTERVAL, all);
  const differences = all.filter(([seconds, relative, lastRunAtMs, nowMs], index) => {
    const one = schedule(seconds, { relative });
    const here = nextRun(one, lastRunAtMs, "UTC") - nowMs;
    const there = theirs[index] as number;
    // Documented: rounded down to the second, a relative interval below one may lie before the run it follows.
    return nowMs + there > lastRunAtMs && Math.abs(here - there) > 0.01;
  });
  expect(differences.slice(0, 5)).toEqual([]);
});

const PYTHON_SOLAR = `
  from datetime import timezone, timedelta
  from celery.schedules import solar
  epoch = datetime.datetime(1970, 1, 1, tzinfo=timezone.utc)
  answers = []
  # Where the event does not come Celery means to look again after the sun was lowest, and fails with a TypeError.
  for event, lat, lon, last in args:
      at = epoch + timedelta(milliseconds=last)
      one = solar(event, lat, lon, nowfun=lambda: epoch)
      for day in range(400):
          try:
              answers.append(one.remaining_estimate(at) / timedelta(milliseconds=1) - last)
              break
          except TypeError:
              lowest = one.cal.next_antitransit(one.ephem.Sun(), start=at)
              at = lowest.datetime().replace(tzinfo=timezone.utc) + timedelta(minutes=1)
      else:
          answers.append(None)
  return answers
`;
const SOLAR_EVENTS: readonly SolarEvent[] = [
  "dawn_astronomical",
  "dawn_nautical",
  "dawn_civil",
  "sunrise",
  "solar_noon",
  "sunset",
  "dusk_civil",
  "dusk_nautical",
  "dusk_astronomical",
];

const SOLAR_MS = 5000;

/** Arc seconds by which the sun's height changes from one instant to another. */
function heightChange(lat: number, lon: number, ...instants: readonly number[]): number {
  const observer = new Observer(lat, lon, 0);
  const [one = 0, other = 0] = instants.map((ms) => {
    const { ra, dec } = Equator(Body.Sun, new Date(ms), observer, true, true);
    return Horizon(new Date(ms), observer, ra, dec).altitude;
  });
  return Math.abs(one - other) * 3600;
}

test("solar: every event at places from pole to pole, as Celery's with PyEphem, within 5 seconds", async () => {
  const degrees = (most: number): fc.Arbitrary<number> =>
    int(-most * 10_000, most * 10_000).map((n) => n / 10_000);
  const lat = fc.oneof(
    { weight: 4, arbitrary: degrees(60) },
    { weight: 2, arbitrary: degrees(85) },
    { weight: 1, arbitrary: fc.constantFrom(69.65, -77.85, 66.56, -66.56, 78.22) },
  );
  const all = fc.sample(fc.tuple(fc.constantFrom(...SOLAR_EVENTS), lat, degrees(180), int(FROM, TO)), {
    numRuns: Math.min(CASES / 4, 10_000),
    seed,
  });
  const theirs = await python.value<number[]>(PYTHON_SOLAR, all);
  const apart = all.map(([event, north, east, last], index) => {
    const here = nextRun(solar(event, north, east), last, "UTC");
    const there = last + (theirs[index] as number);
    return {
      event,
      north,
      east,
      last: new Date(last).toISOString(),
      here,
      there,
      ms: Math.abs(here - there),
    };
  });
  const beyond = apart.filter(({ ms }) => ms > SOLAR_MS);
  // Near the end of white nights, of polar day and night, the sun grazes the height of an event: seconds of arc are many seconds of time there.
  const grazing = beyond.filter(
    ({ north, east, here, there }) => heightChange(north, east, here, there) < 30,
  );
  // And whether it comes to it at all on a day may hang on them.
  const turning = beyond.filter(({ north, ms }) => Math.abs(north) > 48 && ms > 20 * HOUR_MS);
  const farthest = Math.max(...apart.map(({ ms }) => ms).filter((ms) => ms <= SOLAR_MS));
  process.stdout.write(
    `solar: ${all.length} compared, at most ${farthest.toFixed(0)} ms apart but for ${grazing.length} where the sun grazes and ${turning.length} at the turn of a polar day\n`,
  );
  expect(beyond.filter((one) => !grazing.includes(one) && !turning.includes(one)).slice(0, 5)).toEqual([]);
  expect(grazing.length).toBeLessThan(all.length / 20);
  expect(turning.length).toBeLessThanOrEqual(1 + all.length / 500);
});
