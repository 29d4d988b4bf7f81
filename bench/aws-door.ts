/**
 * The AWS door as it is served: Signature Version 4, policy, and audit records that are durable before the answer.
 *
 *   node bench/aws-door.ts [--rounds N] [--requests N] [--sdk-requests N] [--keys N] [--only calls|sdk|keys] [--long]
 *
 * Calls go over 8 connections from a load generator whose requests are signed beforehand; CPU time is that of the
 * server's whole process, all threads, from /proc. Then 8 processes decrypt with the AWS SDK, and the same against a bare
 * node:http server that syncs a log line for each answer, in groups. Then one SDK client reads `--keys` keys. `--long` also
 * sends 200,000 calls and prints the server's memory on the way. Server, load generator and clients share the machine's cores.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { EncryptCommand, KMSClient } from "@aws-sdk/client-kms";
import { type Call, CallBench } from "./aws-door/calls.ts";
import { KeyManager, type SdkAccess } from "./aws-door/key-manager.ts";
import { measureTail } from "./aws-door/tail.ts";
import { measureWalk } from "./aws-door/walk.ts";
import { endChildren } from "./child-processes.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    requests: { type: "string", default: "10000" },
    "sdk-requests": { type: "string", default: "500" },
    keys: { type: "string", default: "10000" },
    only: { type: "string" },
    long: { type: "boolean", default: false },
    /** Of the server's process, as in NODE_OPTIONS: to profile it. */
    "server-options": { type: "string", default: "" },
  },
});
const rounds = Number(values.rounds);
const asked = (part: "calls" | "sdk" | "keys") => values.only === undefined || values.only === part;
const context = { network: "bench", node: "node-1", purpose: "disk" };
const plaintext = Buffer.alloc(32, 7);

const folder = mkdtempSync(join(tmpdir(), "strongroom-bench-"));
let keyManager: KeyManager | undefined;
try {
  keyManager = await KeyManager.start(folder, values["server-options"]);
  await keyManager.admin.keys.create({ alias: "alias/bench" });
  const user = await keyManager.user("bench-user", { role: "key-user" });
  const access = keyManager.sdkAccess(user);
  const ciphertextBase64 = await encrypted(access);
  const bench = new CallBench(keyManager, user, callsWith(ciphertextBase64));
  if (asked("calls"))
    for (const scheme of ["http", "https"] as const) await bench.cpu(scheme, rounds, Number(values.requests));
  if (values.long) await bench.memory();
  if (asked("sdk"))
    await measureTail(access, folder, { rounds, ciphertextBase64, context, requests: Number(values["sdk-requests"]) });
  if (asked("keys")) await measureWalk(keyManager, Number(values.keys));
} finally {
  await endChildren();
  await keyManager?.stop();
  rmSync(folder, { recursive: true, force: true });
}

function callsWith(ciphertextBase64: string): readonly Call[] {
  const key = { KeyId: "alias/bench", EncryptionContext: context };
  return [
    { operation: "Encrypt", input: { ...key, Plaintext: plaintext.toString("base64") } },
    { operation: "Decrypt", input: { CiphertextBlob: ciphertextBase64, EncryptionContext: context } },
    { operation: "GenerateDataKey", input: { ...key, KeySpec: "AES_256" } },
  ];
}

async function encrypted(access: SdkAccess): Promise<string> {
  const client = new KMSClient({ ...access, maxAttempts: 1 });
  const input = { KeyId: "alias/bench", Plaintext: plaintext, EncryptionContext: context };
  const { CiphertextBlob = new Uint8Array() } = await client.send(new EncryptCommand(input));
  client.destroy();
  return Buffer.from(CiphertextBlob).toString("base64");
}
