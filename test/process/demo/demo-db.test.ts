import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { it } from "node:test";
import { skip } from "../database/instance/served-instance.ts";

const main = join(import.meta.dirname, "../../../script/demo-parts/db/main.ts");

it("the encrypted database demo's every check holds, through kill -9, two changes of the master key and refused starts", {
  timeout: 300_000,
  skip,
}, async () => {
  const child = spawn(process.execPath, [main], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const [exitCode] = await once(child, "close");
  assert.equal(exitCode, 0, output);
  assert.match(output, /every check holds/);
  assert.doesNotMatch(output, /FAILED/);
  assert.ok((output.match(/holds /g) ?? []).length >= 19);
});
