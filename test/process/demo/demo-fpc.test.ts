import assert from "node:assert/strict";
import { it } from "node:test";
import { demoOutput } from "./demo-output.ts";

it("the chaincode key demo's every check holds, through a revocation, a rotation and the loss of every enclave", {
  timeout: 600_000,
}, async () => {
  const output = await demoOutput("fpc/main.ts");
  assert.equal(output.match(/^ {2}holds /gm)?.length, 18);
  assert.match(output, /^ {2}@startuml$/m);
});
