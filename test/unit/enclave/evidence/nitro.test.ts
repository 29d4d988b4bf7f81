import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import fc from "fast-check";
import { writeAttestation } from "../../../../src/enclave/evidence/attestation-json.ts";
import { nitroVerifier } from "../../../../src/enclave/evidence/nitro.ts";
import { readCoseSign1, readNitroDocument } from "../../../../src/enclave/evidence/nitro-document.ts";
import { issueCertificate, sha256 } from "../../../enclave-platforms/certificates.ts";
import { assertRefused, type JudgedCase, judge, policyFor } from "../../../enclave-platforms/judging.ts";
import {
  createNitro,
  type DocumentFields,
  documentOf,
  fieldsOf,
  type NitroStandIn,
} from "../../../enclave-platforms/nitro.ts";
import { scaled, seed } from "../../../run-settings.ts";

const statement = Buffer.from("what an enclave says of itself");
const madeAtMs = Date.parse("2026-05-01T12:00:00Z");
const hour = 3_600_000;
const measurement = createHash("sha256")
  .update("strongroom/fpc/v1/nitro-measurement\0")
  .update(Buffer.concat([0x10, 0x11, 0x12].map((byte) => Buffer.alloc(48, byte))))
  .digest("hex")
  .toUpperCase();

interface RealDocument {
  readonly document: string;
  readonly timestamp_ms: number;
  readonly user_data: string;
}
const vector = join(import.meta.dirname, "../../../vectors/fpc/nitro-document.json");
const real = JSON.parse(readFileSync(vector, "utf8")) as RealDocument;

suite("documents of AWS Nitro Enclaves", () => {
  let nitro: NitroStandIn;
  let good: JudgedCase;

  before(async () => {
    nitro = await createNitro(madeAtMs - hour);
    good = {
      statement,
      attestation: written(),
      measurement,
      policy: policyFor("nitro", [], 24 * 3600),
      atMs: madeAtMs + hour,
    };
  });

  function written(changes: DocumentFields = {}, by = nitro.leaf): Buffer {
    return attestationOf(documentOf({ ...fieldsOf(nitro, sha256(statement), madeAtMs), ...changes }, by));
  }

  function attestationOf(document: Buffer): Buffer {
    return writeAttestation("nitro", { document: document.toString("base64") });
  }

  const judged = async (input: JudgedCase) => await judge(input, [nitroVerifier(nitro.rootHash)]);
  const refused = async (changes: DocumentFields, reason: RegExp) =>
    await assertRefused(judged({ ...good, attestation: written(changes) }), reason);

  test("a document is accepted by its PCRs, at its own time", async () => {
    const verdict = await judged(good);
    assert.equal(verdict.measurement, measurement);
    assert.equal(verdict.madeAtMs, madeAtMs);
    assert.equal(verdict.tcbStatus, undefined);
  });

  test("a document outlives its certificate of three hours, up to the policy's age", async () => {
    await judged({ ...good, atMs: madeAtMs + 23 * hour });
    await assertRefused(judged({ ...good, atMs: madeAtMs + 25 * hour }), /policy allows/);
    await assertRefused(judged({ ...good, atMs: madeAtMs - hour }), /after the transaction's time/);
  });

  test("a document that says a time outside its certificate's is refused", async () => {
    await refused({ timestamp: madeAtMs - 2 * hour }, /not valid at/);
    await refused({ timestamp: madeAtMs + 3 * hour }, /not valid at/);
  });

  test("another statement, other code, no user data or other user data is refused", async () => {
    await assertRefused(judged({ ...good, statement: Buffer.from("another") }), /another statement/);
    await assertRefused(judged({ ...good, measurement: "00".repeat(32) }), /by code of measurement/);
    await refused({ user_data: null }, /user_data is not the SHA-256/);
    await refused({ user_data: new Uint8Array(31) }, /user_data is not the SHA-256/);
    await refused({ user_data: null, nonce: new Uint8Array(sha256(statement)) }, /user_data is not the SHA-256/);
  });

  test("each of PCR 0 to 2 is part of the measurement, and an enclave in debug mode is refused", async () => {
    const pcrs = (change: number, byte: number) =>
      new Map(
        Array.from({ length: 5 }, (_, index) => [
          index,
          new Uint8Array(48).fill(index === change ? byte : 0x10 + index),
        ]),
      );
    for (const index of [0, 1, 2]) {
      await refused({ pcrs: pcrs(index, 0x77) }, /by code of measurement/);
      await refused({ pcrs: pcrs(index, 0) }, /debug mode/);
    }
    await judged({ ...good, attestation: written({ pcrs: pcrs(4, 0x77) }) });
    await refused({ pcrs: new Map([[0, new Uint8Array(48).fill(1)]]) }, /no PCR 1/);
    await refused({ pcrs: new Map([[0, new Uint8Array(32).fill(1)]]) }, /PCRs are not of their form/);
    await refused({ pcrs: new Map([["0", new Uint8Array(48)]]) }, /PCRs are not of their form/);
    await refused({ pcrs: [] }, /PCRs are not of their form/);
  });

  test("a document with a field missing or of another type is refused", async () => {
    await refused({ digest: "SHA256" }, /digest or timestamp/);
    await refused({ timestamp: "now" }, /digest or timestamp/);
    await refused({ timestamp: -1 }, /digest or timestamp/);
    await refused({ certificate: "text" }, /certificate is not bytes/);
    await refused({ certificate: new Uint8Array(3) }, /certificate/);
    await refused({ cabundle: [] }, /cabundle/);
    await refused({ cabundle: "text" }, /cabundle/);
    await refused({ user_data: "text" }, /user_data is not bytes/);
  });

  test("a path that does not lead to the root, in another order, or that is signed by another key is refused", async () => {
    const der = (one: { der: Buffer }) => new Uint8Array(one.der);
    await refused({ cabundle: [der(nitro.ca), der(nitro.root)] }, /lead to AWS's root/);
    await refused({ cabundle: [der(nitro.root)] }, /not signed by the next/);
    await refused({ certificate: der(nitro.ca) }, /an authority's/);
    const stranger = await createNitro(madeAtMs - hour);
    const document = documentOf(fieldsOf(stranger, sha256(statement), madeAtMs), stranger.leaf);
    await assertRefused(judged({ ...good, attestation: attestationOf(document) }), /lead to AWS's root/);
    await assertRefused(judged({ ...good, attestation: written({}, stranger.leaf) }), /signature does not verify/);
    const below = await issueCertificate("below", { issuer: nitro.leaf, curve: "P-384" });
    const path = [der(nitro.root), der(nitro.ca), der(nitro.leaf)];
    const attestation = written({ certificate: der(below), cabundle: path }, below);
    await assertRefused(judged({ ...good, attestation }), /not signed by the next|no authority's/);
  });

  test("one changed bit anywhere in a document is refused", async () => {
    const document = documentOf(fieldsOf(nitro, sha256(statement), madeAtMs), nitro.leaf);
    const at = [
      ...Array(16).keys(),
      document.length - 1,
      document.length - 48,
      document.length - 97,
      document.length - 98,
    ];
    for (let index = 40; index < document.length - 98; index += 37) at.push(index);
    for (const index of at) {
      const changed = Buffer.from(document);
      changed[index] = (changed[index] ?? 0) ^ 1;
      await assertRefused(judged({ ...good, attestation: attestationOf(changed) }), /./);
    }
  });

  test("every other form of the envelope is refused", async () => {
    const document = documentOf(fieldsOf(nitro, sha256(statement), madeAtMs), nitro.leaf);
    const forms = {
      "a tag before it": Buffer.concat([Buffer.of(0xd2), document]),
      "bytes behind it": Buffer.concat([document, Buffer.of(0)]),
      "an unprotected header": Buffer.concat([
        document.subarray(0, 6),
        Buffer.from("a10126", "hex"),
        document.subarray(7),
      ]),
      "a cut": document.subarray(0, -1),
      nothing: Buffer.of(0x84),
    };
    for (const [name, bytes] of Object.entries(forms))
      assert.throws(() => readCoseSign1(bytes), { code: "BAD_EVIDENCE" }, name);
  });

  test("a payload that is no CBOR, has a key twice, or is no map is refused", async () => {
    const by = nitro.leaf;
    for (const payload of ["ff", "80", "a2616101616102", "f6"]) {
      const bytes = Buffer.concat([Buffer.from(payload, "hex"), Buffer.alloc(0)]);
      const padded = Buffer.concat([bytes, Buffer.alloc(300)]);
      const document = documentOf(new Uint8Array(padded), by);
      await assertRefused(judged({ ...good, attestation: attestationOf(document) }), /./);
    }
  });

  test("any payload is read or refused as bad evidence", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await readNitroDocument(Buffer.from(bytes)).then(
          () => assert.fail("nothing that is drawn here is a document"),
          (error: { code?: string }) => assert.equal(error.code, "BAD_EVIDENCE"),
        );
      }),
      { seed, numRuns: scaled(2000) },
    );
  });

  test("a real document of AWS is verified up to its own root, and then refused for its debug mode alone", async () => {
    const bytes = Buffer.from(real.document, "base64");
    const document = await readNitroDocument(readCoseSign1(bytes).payload);
    assert.equal(document.userData?.toString("hex"), real.user_data);
    const input: JudgedCase = { ...good, attestation: attestationOf(bytes), atMs: real.timestamp_ms };
    await assertRefused(judge(input), /debug mode/);
    await assertRefused(judged(input), /lead to AWS's root/);
    for (const at of [20, 120, 1300, bytes.length - 120, bytes.length - 20]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await assertRefused(judge({ ...input, attestation: attestationOf(changed) }), /^(?!.*debug mode)/);
    }
  });
});
