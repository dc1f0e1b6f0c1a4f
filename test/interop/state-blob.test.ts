/** `…:zrevoked` between Petiole and Python's `celery.utils.collections.LimitedSet`. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { decodeRevokedBlob } from "../../src/statedb/blob.ts";
import { writeBlob } from "../../src/statedb/redis/blob-store.ts";
import { type PythonClient, startPythonClient } from "../support/python.ts";

let client: PythonClient;
beforeAll(async () => {
  client = await startPythonClient({ broker: "memory://" });
});
afterAll(() => client.stop());

const ids = Array.from({ length: 2500 }, (_, i) => `${i}-ä-😀`);

test.each([2, 3, 4, 5])("what Python pickles with protocol %i is read", async (protocol) => {
  const text = await client.value<string>(
    `
import base64, pickle, zlib
from celery.utils.collections import LimitedSet
revoked = LimitedSet(maxlen=50000, expires=10800)
for i, member in enumerate(args["ids"]):
    revoked.add(member, now=1000.5 + i)
return base64.b64encode(zlib.compress(pickle.dumps(revoked, protocol=args["protocol"]))).decode()
`,
    { ids, protocol },
  );
  const read = await decodeRevokedBlob(Buffer.from(text, "base64"));
  expect([...read.members]).toEqual(ids.map((id, i) => [id, 1000.5 + i]));
  expect([read.maxlen, read.expires, read.minlen]).toEqual([50_000, 10_800, 0]);
});

test("what Petiole writes is Python's LimitedSet", async () => {
  // Ages of up to seven hours: Python's would drop at its start what is older than three.
  const { bytes: blob } = await writeBlob(new Map(ids.map((id, i) => [id, (ids.length - i) * 10])));
  const seen = await client.value<unknown[]>(
    `
import base64, pickle, zlib
revoked = pickle.loads(zlib.decompress(base64.b64decode(args["blob"])))
other = type(revoked)(maxlen=50000, expires=10800)
other.update(revoked)
return [type(revoked).__module__, type(revoked).__name__, len(revoked), [i for i, _ in sorted(revoked.as_dict().items(), key=lambda i: i[1])], args["ids"][7] in revoked, len(other)]
`,
    { blob: blob.toString("base64"), ids },
  );
  expect(seen).toEqual(["celery.utils.collections", "LimitedSet", 2500, ids, true, 2500]);
});
