import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { it } from "node:test";

const main = join(import.meta.dirname, "../../../script/demo-parts/fpc/main.ts");

it("the chaincode key demo's every check holds, through a revocation, a rotation and the loss of every enclave", {
  timeout: 600_000,
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
  assert.equal(output.match(/^ {2}holds /gm)?.length, 18);
  assert.match(output, /^ {2}@startuml$/m);
});
