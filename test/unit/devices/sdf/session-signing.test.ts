import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionSigning } from "../../../../src/devices/sdf/session-signing.ts";

const call = { operation: "sign", args: [Buffer.alloc(4), Buffer.alloc(32), Buffer.alloc(64)] };

test("a signing thread that cannot start costs its groups a fault that evicts, and so do later ones at once", async () => {
  const addresses = new Map([["SDF_InternalSign_ECC", "no address" as unknown as bigint]] as const);
  const signing = new SessionSigning({ addresses, profileName: "gmt0018", session: 1n, keyIndices: [], taken: [] });
  const fault = { code: "SIGNING_THREAD_ENDED", kind: "device", evict: true };
  const [first, second] = [signing.run([call]), signing.run([call, call])];
  await Promise.all([first, second].map(({ outcomes }) => assert.rejects(outcomes, fault)));
  await assert.rejects(signing.run([call]).outcomes, fault);
  assert.equal(signing.isReady, false);
  await signing.end();
});
