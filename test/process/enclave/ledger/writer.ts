/** Puts values into the embedded ledger of a folder until it is killed, several at a time, and says each one that is committed. */
import { writeSync } from "node:fs";
import { EmbeddedLedger } from "../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import { trial, trialName } from "../../../unit/enclave/ledger/embedded/trial-ledger.ts";

const [folder = "", first = "0"] = process.argv.slice(2);
const ledger = await EmbeddedLedger.open(folder);
ledger.install(trialName, trial);
const lanes = ledger.mspIds.map(async (mspId, lane) => {
  const connection = await ledger.connect(ledger.identity(mspId, "client"));
  for (let i = Number(first); ; i++) {
    const key = `lane-${lane}-${i}`;
    await connection.submit(trialName, "put", [key, String(i)]);
    // At once: what is only in a buffer dies with the process.
    writeSync(1, `${key}=${i}\n`);
  }
});
await Promise.all(lanes);
