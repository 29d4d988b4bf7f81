/** Seals one file and kills itself after a step: `seal-program.ts FOLDER MASTER-KEY-FILE FILE STEP`. */
import { readFileSync } from "node:fs";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { releaseDataKey } from "../../../src/node/data-key.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { sealFile } from "../../../src/node/seal.ts";
import { FakeKeyManager } from "../../unit/node/fake-key-manager.ts";

const [folder = "", masterFile = "", file = "", fatalStep = ""] = process.argv.slice(2);
const keyManager = new FakeKeyManager({ master: SecretBuffer.take(readFileSync(masterFile)) });
const loaded = loadManifest(folder);
using dataKey = await releaseDataKey(loaded, keyManager);
sealFile(loaded, dataKey, file, {
  onStep(step) {
    if (step === fatalStep) process.kill(process.pid, "SIGKILL");
  },
});
