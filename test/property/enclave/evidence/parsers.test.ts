import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import fc from "fast-check";
import { collateralFields, toEvidence, writeAttestation } from "../../../../src/enclave/evidence/attestation-json.ts";
import { readCertificate, readPemChain } from "../../../../src/enclave/evidence/certificates.ts";
import { readDcapReport } from "../../../../src/enclave/evidence/dcap.ts";
import { readCoseSign1, readNitroDocument } from "../../../../src/enclave/evidence/nitro-document.ts";
import { pathLengthOf, readRevocationList, serialOf } from "../../../../src/enclave/evidence/x509-der.ts";
import { judge, policyFor, withField } from "../../../enclave-platforms/judging.ts";
import { scaled, seed } from "../../../run-settings.ts";

const read = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, "../../../vectors/fpc", name), "utf8")) as Record<string, unknown>;
const tdx = read("tdx-quote.json") as { quote: string; collateral: Record<string, string> };
const quote = Buffer.from(tdx.quote, "base64");
const nitro = Buffer.from(String(read("nitro-document.json").document), "base64");
const chain = tdx.collateral.tcb_info_issuer_chain ?? "";
const certificate = readPemChain(chain, "a chain")[0]?.raw ?? Buffer.alloc(0);
const list = Buffer.from(tdx.collateral.root_ca_crl ?? "", "hex");

/** Real bytes with some of them changed, cut, or doubled; or noise. */
function mutated(bytes: Buffer): fc.Arbitrary<Buffer> {
  const at = fc.nat({ max: bytes.length - 1 });
  const changed = fc.array(fc.tuple(at, fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }).map((changes) => {
    const copy = Buffer.from(bytes);
    for (const [index, value] of changes) copy[index] = value;
    return copy;
  });
  const cut = at.map((length) => bytes.subarray(0, length));
  const doubled = fc.tuple(at, at).map(([from, to]) => Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]));
  return fc.oneof(
    changed,
    cut,
    doubled,
    fc.uint8Array({ maxLength: 400 }).map((noise) => Buffer.from(noise)),
  );
}

async function refusesOrReads(use: () => unknown): Promise<void> {
  try {
    await use();
  } catch (error) {
    assert.equal((error as { code?: string }).code, "BAD_EVIDENCE", String((error as Error).stack));
  }
}

const parsers: readonly (readonly [string, Buffer, (bytes: Buffer) => unknown])[] = [
  ["a quote of Intel's", quote, async (bytes) => await readDcapReport(bytes)],
  ["a certificate", certificate, (bytes) => readCertificate(bytes, "it")],
  ["a certificate's serial number", certificate, serialOf],
  ["a certificate's path length", certificate, pathLengthOf],
  ["a chain in PEM", Buffer.from(chain), (bytes) => readPemChain(bytes.toString("latin1"), "it")],
  ["a revocation list", list, (bytes) => readRevocationList(bytes, "it")],
  ["a document of AWS", nitro, (bytes) => readCoseSign1(bytes)],
  ["a document's payload", readCoseSign1(nitro).payload, async (bytes) => await readNitroDocument(bytes)],
];

suite("parsers of evidence", () => {
  for (const [name, bytes, parse] of parsers)
    test(`${name}, altered in any way, is read or refused as bad evidence`, async () => {
      const check = async (altered: Buffer) => await refusesOrReads(async () => await parse(altered));
      await fc.assert(fc.asyncProperty(mutated(bytes), check), { seed, numRuns: scaled(3000) });
    });

  test("evidence with any field altered is refused as bad evidence, whatever its type", async () => {
    const attestation = writeAttestation("tdx-dcap", { quote: tdx.quote });
    const evidence = toEvidence(attestation, tdx.collateral);
    const texts = fc.oneof(fc.string({ minLength: 1 }), fc.json(), fc.base64String({ minLength: 1 }));
    const fields = fc.constantFrom(...collateralFields);
    await fc.assert(
      fc.asyncProperty(fields, texts, async (name, text) => {
        const input = {
          statement: Buffer.from("x"),
          attestation,
          evidence: withField(evidence, name, () => text),
          measurement: "00".repeat(32),
          policy: policyFor("tdx-dcap", [], 1_000_000_000),
          atMs: Date.parse("2025-03-25T00:00:00Z"),
        };
        await assert.rejects(judge(input), { code: "BAD_EVIDENCE" });
      }),
      { seed, numRuns: scaled(1000) },
    );
  });
});
