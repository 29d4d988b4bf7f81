/**
 * An instance's volume, served, whose master key is changed at once: what `strongroom db serve` does when it is asked to. With
 * KILLED_AT in the environment it kills itself, as kill -9 does, after the step of that number.
 *
 *     node rotating-instance.ts FOLDER OLD-KEY-FILE NEW-KEY-FILE SETTINGS-FILE
 */
import { readFileSync } from "node:fs";
import { ChangeableKeyHolder } from "../../../../src/database/holder/changeable-holder.ts";
import { rotateMaster } from "../../../../src/database/holder/rotate-master.ts";
import { settleRotation } from "../../../../src/database/holder/settle-rotation.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import { findInstanceKey } from "../../../../src/database/instance/settle-key.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { connectSealfsControl } from "../../../../src/volume/sealfs/control/client.ts";
import { holderOfFile } from "./test-holders.ts";

const [folder = "", oldFile = "", newFile = "", settingsFile = ""] = process.argv.slice(2);
const killedAt = Number(process.env.KILLED_AT ?? 0);
const paths = instancePaths(folder);
const metadataKey = { in: "master" } as const;

const namesNew = readFileSync(settingsFile, "utf8").includes(readFileSync(newFile).subarray(0, 65).toString("hex"));
let file = namesNew ? newFile : oldFile;
if ((await settledWith(file)) === "settings-changed") {
  file = newFile;
  await settledWith(file);
}
await using holder = new ChangeableKeyHolder(await holderOfFile(file));
using key = await findInstanceKey({ paths, metadataKey, holder });
const driver = await volumeDriver("sealfs");
const volume = await driver.open({ folder }, key, { keyHolder: holder });
try {
  await using control = await connectSealfsControl({ folder });
  let steps = 0;
  const onStep = () => {
    steps += 1;
    if (steps === killedAt) process.kill(process.pid, "SIGKILL");
  };
  if (file === oldFile) {
    const settings = { file: settingsFile, privateKeyFile: undefined, pincodeFile: undefined };
    await rotateMaster({ paths, control, holder, onStep }, await holderOfFile(newFile), settings);
  }
  process.stdout.write(`${JSON.stringify({ steps, publicKey: holder.publicKey.toString("hex") })}\n`);
} finally {
  await volume.close({ whenBusy: "cutOff" });
}

async function settledWith(keyFile: string) {
  await using holder = await holderOfFile(keyFile);
  return settleRotation(paths, holder);
}
