import assert from "node:assert/strict";
import { it } from "node:test";
import { sdfCardMissing } from "../../sdf-card/build.ts";
import { demoOutput } from "./demo-output.ts";

it("the cipher card demo's every check holds, through unplugged cards and a wrong signature", {
  timeout: 600_000,
  skip: sdfCardMissing(),
}, async () => {
  const output = await demoOutput("hsm/main.ts");
  assert.equal((output.match(/holds .*heartBeat,connected count=3/g) ?? []).length, 4);
  assert.ok((output.match(/holds /g) ?? []).length >= 20);
});
