import assert from "node:assert/strict";
import { verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { type Collateral, Quote, QuoteVerifier } from "@phala/dcap-qvl";
import { toEvidence, writeAttestation } from "../../../../src/enclave/evidence/attestation-json.ts";
import { readPemChain, verifyPath } from "../../../../src/enclave/evidence/certificates.ts";
import { readDcapReport } from "../../../../src/enclave/evidence/dcap.ts";
import { pathLengthOf, readRevocationList, serialOf } from "../../../../src/enclave/evidence/x509-der.ts";
import { assertRefused, judge, policyFor } from "../../../enclave-platforms/judging.ts";

const vector = join(import.meta.dirname, "../../../vectors/fpc/tdx-quote.json");
const real = JSON.parse(readFileSync(vector, "utf8")) as { quote: string; collateral: Record<string, string> };
const bytes = Buffer.from(real.quote, "base64");
const march = Date.parse("2025-03-25T00:00:00Z");
const june = Date.parse("2025-06-25T00:00:00Z");
const pckChain = Buffer.from(Quote.parse(bytes).rawCertChain()).toString("latin1").replace(/\0$/, "");

function field(name: string): string {
  const value = real.collateral[name];
  assert.ok(value, name);
  return value;
}

suite("a real quote of Intel TDX and Intel's own certificates", () => {
  test("the quote is read to its last byte", async () => {
    const report = await readDcapReport(bytes);
    assert.match(report.measurement, /^[0-9A-F]{64}$/);
    assert.equal(
      report.reportData.toString("hex"),
      "7148f47ef58b475fce69b386e2d6b4c964a9533cc328ea8e544db66612a5174698d006951cefa8fd4450e884300638e567e22f9a012ef5754aa6a9d9564fcd8a",
    );
    await assertRefused(readDcapReport(bytes.subarray(0, -1)), /./);
    await assertRefused(readDcapReport(Buffer.concat([bytes, Buffer.alloc(35)])), /behind/);
  });

  test("each of Intel's paths leads to Intel's root at the time, and not outside the certificates' validity", () => {
    const pem = [pckChain, field("tcb_info_issuer_chain"), field("qe_identity_issuer_chain")];
    for (const path of pem.map((text) => readPemChain(text, "a chain"))) {
      verifyPath(path, march, "a chain");
      for (const atMs of [Date.parse("2017-01-01T00:00:00Z"), Date.parse("2060-01-01T00:00:00Z")])
        assert.throws(() => verifyPath(path, atMs, "a chain"), { code: "BAD_EVIDENCE" });
      assert.throws(() => verifyPath(path.toReversed(), march, "a chain"), { code: "BAD_EVIDENCE" });
    }
    const [leaf, ca, root] = readPemChain(pckChain, "the PCK certificates");
    assert.ok(leaf && ca && root);
    assert.deepEqual(
      [leaf, ca, root].map((one) => pathLengthOf(one.raw)),
      [undefined, 0, 1],
    );
    assert.equal(serialOf(leaf.raw).toString("hex").toUpperCase(), `00${leaf.serialNumber}`);
  });

  test("Intel's revocation lists are read, and verify under the authorities that issued them alone", () => {
    const [processor, root] = readPemChain(field("pck_crl_issuer_chain"), "the issuer");
    assert.ok(processor && root);
    const lists = [
      { name: "root_ca_crl", issuer: root, other: processor },
      { name: "pck_crl", issuer: processor, other: root },
    ];
    for (const { name, issuer, other } of lists) {
      const der = Buffer.from(field(name), "hex");
      const list = readRevocationList(der, name);
      assert.ok(verify("sha256", list.signedBytes, issuer.publicKey, list.signature), name);
      assert.equal(verify("sha256", list.signedBytes, other.publicKey, list.signature), false, name);
      assert.ok(list.thisUpdateMs < june && june < list.nextUpdateMs, name);
      assert.deepEqual(list.revoked, []);
      for (let length = 0; length < der.length; length += 11)
        assert.throws(() => readRevocationList(der.subarray(0, length), name), { code: "BAD_EVIDENCE" });
      assert.throws(() => readRevocationList(Buffer.concat([der, Buffer.of(0)]), name), { code: "BAD_EVIDENCE" });
    }
  });

  test("the library verifies the quote and its collateral up to the platform's TCB level, which is too old", () => {
    const verifyAt = (quote: Buffer) =>
      QuoteVerifier.newProd().verify(quote, real.collateral as unknown as Collateral, march / 1000);
    assert.throws(() => verifyAt(bytes), /No matching TCB level found/);
    for (const at of [60, 300, 631, 640, 800, 1000]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(() => verifyAt(changed), /invalid|mismatch|fail/i, `byte ${at}`);
    }
  });

  test("the judge refuses it for the revocation list of another authority, which the library does not see", async () => {
    const attestation = writeAttestation("tdx-dcap", { quote: real.quote });
    const input = {
      statement: Buffer.from("x"),
      attestation,
      evidence: toEvidence(attestation, real.collateral),
      measurement: (await readDcapReport(bytes)).measurement,
      policy: policyFor("tdx-dcap", [], 365 * 24 * 3600),
      atMs: march,
    };
    await assertRefused(judge(input), /of another authority/);
  });
});
