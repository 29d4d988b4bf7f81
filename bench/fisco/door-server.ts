/** The FISCO door as it is served: registry, audit records that are durable before the answer, SQLite. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../../src/custody/open.ts";
import { startFiscoDoor } from "../../src/server/fisco/door.ts";
import { answerStats } from "../unwrap/stats.ts";

const { values } = parseArgs({ options: { folder: { type: "string", default: "." } } });
const dataDir = join(values.folder, "km");
using unlock = SecretBuffer.random(32);
await initCustody({ dataDir, unlock, slotKind: "key-file" });
const custody = await openCustody({ dataDir, unlock });
const superKey = SecretBuffer.take(Buffer.from("123xyz"));
const cipherDataKey = "ed157f4588b86d61a2e1745efe71e6ea";
const caller = {
  principal: custody.identity.localAdministrator,
  door: "local",
  peer: "bench",
  requestId: "1",
} as const;
await custody.legacy.register(caller, { mode: "standard", superKey, cipherDataKey });
const door = await startFiscoDoor(custody, {
  host: "127.0.0.1",
  port: 0,
  mode: "standard",
  superKey,
  operatorCalls: false,
  onFault: (error) => process.stderr.write(`door: ${String(error)}\n`),
});
answerStats();
process.send?.({ port: door.address.port });
