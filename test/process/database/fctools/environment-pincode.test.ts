import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runSource } from "./programs.ts";

const program = "pincode-program.ts";

async function handedOver(pincode: string, args: readonly string[] = []) {
  const { code, stdout, stderr } = await runSource(program, args, { environment: { FCTSDB_PINCODE: pincode } });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

describe("the pincode in FCTSDB_PINCODE", () => {
  it("is taken once, and is not in the environment of the process that goes on", async () => {
    for (const pincode of ["a pincode", "海东青\n with a line end\n", "x".repeat(4096)]) {
      const told = await handedOver(pincode);
      assert.equal(Buffer.from(told.pincode, "hex").toString(), pincode);
      assert.equal(told.again, true);
      assert.deepEqual(told.variables, []);
      assert.equal(Buffer.from(told.environment, "latin1").includes(pincode), false);
      assert.doesNotMatch(told.environment, /FCTSDB_PINCODE/);
      assert.match(told.environment, /(?:^|\0)PATH=/);
    }
  });

  it("leaves the process its number, its arguments and its options", async () => {
    const path = join(import.meta.dirname, program);
    const child = spawn(process.execPath, ["--max-semi-space-size=16", path, "a b", "--c"], {
      env: { ...process.env, FCTSDB_PINCODE: "a pincode" },
    });
    let text = "";
    for await (const piece of child.stdout) text += piece;
    const told = JSON.parse(text);
    assert.equal(told.pid, child.pid);
    assert.deepEqual(told.arguments, ["a b", "--c"]);
    assert.deepEqual(told.options, ["--max-semi-space-size=16"]);
  });

  it("is undefined when it is not set", async () => {
    const { code, stdout } = await runSource(program, []);
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).pincode, null);
  });

  for (const [what, environment, message] of [
    ["an empty one", { FCTSDB_PINCODE: "" }, /is set, and empty/],
    ["one that is too long", { FCTSDB_PINCODE: "x".repeat(4097) }, /is over 4096 bytes/],
    ["a descriptor that is none", { STRONGROOM_PINCODE_FD: "three" }, /is not the number/],
    ["a descriptor that is not open", { STRONGROOM_PINCODE_FD: "77" }, /has no pincode: EBADF/],
  ] as const)
    it(`is refused as ${what}, and not repeated in the message`, async () => {
      const { code, stderr } = await runSource(program, [], { environment });
      assert.equal(code, 1);
      assert.match(stderr, /PINCODE_INVALID/);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /xxxx/);
    });
});
