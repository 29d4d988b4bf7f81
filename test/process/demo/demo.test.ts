import assert from "node:assert/strict";
import { it } from "node:test";
import { demoOutput } from "./demo-output.ts";

it("the demo's every check holds, on two real Ethereum nodes", { timeout: 300_000 }, async () => {
  const output = await demoOutput("main.ts");
  assert.ok((output.match(/holds /g) ?? []).length >= 15);
});
