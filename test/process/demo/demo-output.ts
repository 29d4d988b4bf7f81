import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const parts = join(import.meta.dirname, "../../../script/demo-parts");

/** Runs a demo to its end, every check of which has to hold. Resolves to all that it prints. */
export async function demoOutput(main: string): Promise<string> {
  const child = spawn(process.execPath, [join(parts, main)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const [exitCode] = await once(child, "close");
  assert.equal(exitCode, 0, output);
  assert.match(output, /every check holds/);
  assert.doesNotMatch(output, /FAILED/);
  return output;
}
