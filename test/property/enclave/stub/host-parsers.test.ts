import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { decodeQuestion } from "../../../../src/enclave/process/ledger-questions.ts";
import { readSealedBlob } from "../../../../src/enclave/process/sealed-state.ts";
import { readTeeSettings } from "../../../../src/enclave/process/tee-settings.ts";
import { readStatus } from "../../../../src/enclave/stub/enclave-status.ts";
import { StubJournal } from "../../../../src/enclave/stub/journal.ts";
import { scaled, seed } from "../../../run-settings.ts";

const runs = { numRuns: scaled(20_000), seed };

/** Bytes of no kind, any JSON, and JSON with the right names. */
function textLike(names: readonly string[]): fc.Arbitrary<Buffer> {
  const leaf = fc.oneof(fc.jsonValue(), fc.constantFrom("process", "A".repeat(64), 1, true, null));
  const record = fc.record(Object.fromEntries(names.map((name) => [name, leaf])), { requiredKeys: [] });
  const json = fc.oneof(fc.jsonValue(), record).map((value) => Buffer.from(JSON.stringify(value) ?? ""));
  return fc.oneof(
    json,
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  );
}

function readsOrRefuses(read: () => unknown, code: string): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof EnclaveError && error.code === code, String(error));
  }
}

describe("whatever an enclave and its host say to each other", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-parsers-"));
  after(() => rmSync(folder, { recursive: true }));

  it("a status is read, or the enclave is of no more use", () => {
    const names = ["tee", "protectsFromRoot", "measurement", "enclave"];
    fc.assert(
      fc.property(textLike(names), (bytes) => readsOrRefuses(() => readStatus(bytes), "ENCLAVE_ENDED")),
      runs,
    );
  });

  it("a question about the ledger is read or malformed", () => {
    const part = fc.oneof(
      fc.constantFrom("creator", "endorse", "record", "session", "exported").map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) =>
        readsOrRefuses(() => decodeQuestion(parts), "MALFORMED"),
      ),
      runs,
    );
  });

  it("settings of a platform are read, or are not settings", () => {
    fc.assert(
      fc.property(textLike(["kind", "platform", "tcti", "folder"]), (bytes) =>
        readsOrRefuses(() => readTeeSettings(bytes), "SETTINGS_INVALID"),
      ),
      runs,
    );
  });

  it("a sealed blob is read, or does not unseal", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) =>
        readsOrRefuses(() => readSealedBlob(bytes), "UNSEAL_FAILED"),
      ),
      runs,
    );
  });

  it("a journal gives the lines that are entries, and no others", () => {
    const path = join(folder, "journal");
    const line = textLike(["atMs", "from", "what", "outcome"]);
    const entry = { atMs: 1, from: "stub", what: "create", outcome: "done" };
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), (lines) => {
        const others = lines.map((bytes) => Buffer.concat([bytes, Buffer.from("\n")]));
        writeFileSync(path, Buffer.concat([...others, Buffer.from(JSON.stringify(entry))]));
        const read = new StubJournal(path).read();
        assert.deepEqual(read.at(-1), entry);
        for (const one of read) assert.deepEqual(Object.keys(one), ["atMs", "from", "what", "outcome"]);
      }),
      { ...runs, numRuns: scaled(2000) },
    );
  });
});
