import assert from "node:assert/strict";
import { it } from "node:test";
import { skip } from "../database/instance/served-instance.ts";
import { demoOutput } from "./demo-output.ts";

it("the encrypted database demo's every check holds, through kill -9, two changes of the master key and refused starts", {
  timeout: 300_000,
  skip,
}, async () => {
  const output = await demoOutput("db/main.ts");
  assert.ok((output.match(/holds /g) ?? []).length >= 19);
});
