/** Converts a node's data and kills itself after a step: `convert-program.ts FOLDER MASTER-KEY-FILE DATA DIRECTION STEP [SEAL]`. */
import { readFileSync } from "node:fs";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { convertToPlain, convertToVolume } from "../../../src/node/convert.ts";
import { releaseDataKey } from "../../../src/node/data-key.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { FakeKeyManager } from "../../unit/node/fake-key-manager.ts";

const [folder = "", masterFile = "", data = "", direction, fatalStep = "", seal] = process.argv.slice(2);
const keyManager = new FakeKeyManager({ master: SecretBuffer.take(readFileSync(masterFile)) });
const loaded = loadManifest(folder);
using dataKey = await releaseDataKey(loaded, keyManager);
const options = {
  ...(seal === undefined ? {} : { seal: [seal] }),
  onStep(step: string) {
    if (step === fatalStep) process.kill(process.pid, "SIGKILL");
  },
};
try {
  if (direction === "to-plain") await convertToPlain(loaded, dataKey, data, options);
  else await convertToVolume(loaded, dataKey, data, options);
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = (error as { exitCode?: number }).exitCode ?? 1;
}
