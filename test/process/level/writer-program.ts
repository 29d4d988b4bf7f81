/**
 * Writes to an encrypted level and rotates its data key until it is killed.
 *
 *   node writer-program.ts LOCATION plain|encrypted OLD-FILL NEW-FILL
 *
 * The data keys are 32 bytes of OLD-FILL and NEW-FILL. Prints `open`, then `put N` for each write that is done: entry
 * `key N % 400` holds `value N of key …`, and every batch of two keys holds one N in both. Prints `rotated` at the end
 * of a rotation.
 */
import { EncryptedLevel, SecretBuffer } from "../../../src/level/index.ts";

const [location = "", names, oldFill, newFill] = process.argv.slice(2);
const keyOf = (fill: string | undefined) => SecretBuffer.copyOf(Buffer.alloc(32, Number(fill)));
const pace = { batchEntries: 5, maxEntriesPerSecond: 2000 };
const level = new EncryptedLevel(location, {
  dataKey: keyOf(newFill),
  previousDataKey: keyOf(oldFill),
  encryptKeyNames: names === "encrypted",
  resumeRotation: pace,
});
await level.open();
console.log("open");
// A kill before the rotation began leaves the store on the old key alone.
const rotation =
  level.rotation ?? (await level.rotateDataKey(keyOf(newFill), pace).catch((error: unknown) => ignoreSameKey(error)));
rotation?.finished.then(
  () => console.log("rotated"),
  (error: unknown) => console.log(`rotation failed: ${error}`),
);
const start = Number(process.env.FIRST_NUMBER ?? 0);
for (let number = start; ; number++) {
  const pair = number % 200;
  await level.batch([
    { type: "put", key: `key ${pair}`, value: `value ${number} of key ${pair}` },
    { type: "put", key: `key ${pair + 200}`, value: `value ${number} of key ${pair + 200}` },
  ]);
  console.log(`put ${number}`);
}

/** A rotation that had finished before the kill: the new key is the current one. */
function ignoreSameKey(error: unknown): undefined {
  if (error instanceof RangeError) return undefined;
  throw error;
}
