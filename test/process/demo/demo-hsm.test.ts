import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { it } from "node:test";
import { sdfCardMissing } from "../../sdf-card/build.ts";

const main = join(import.meta.dirname, "../../../script/demo-parts/hsm/main.ts");

it("the cipher card demo's every check holds, through unplugged cards and a wrong signature", {
  timeout: 600_000,
  skip: sdfCardMissing(),
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
  assert.equal((output.match(/holds .*heartBeat,connected count=3/g) ?? []).length, 4);
  assert.ok((output.match(/holds /g) ?? []).length >= 20);
});
