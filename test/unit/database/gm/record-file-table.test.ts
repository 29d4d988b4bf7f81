import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { describeEnvelopeTable } from "./envelope-table-contract.ts";
import { RecordFileTable } from "./record-file-table.ts";

const folders = mkdtempSync(join(tmpdir(), "strongroom-table-"));
after(() => rmSync(folders, { recursive: true, force: true }));

describeEnvelopeTable("over a plain file of records", async (publicKey) => {
  const folder = mkdtempSync(join(folders, "table-"));
  const names = ["table", "data/enc/autogen/1", "data/enc/autogen/2"];
  RecordFileTable.create(folder, publicKey, new Map(names.map((name) => [name, SecretBuffer.random(16)])));
  return { open: async (opener) => (await RecordFileTable.open(folder, opener)) ?? assert.fail("no table") };
});
