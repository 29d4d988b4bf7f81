import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { before, suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { toEvidence, writeAttestation } from "../../../../src/enclave/evidence/attestation-json.ts";
import { keyPurposes } from "../../../../src/enclave/evidence/certificates.ts";
import { allowedClockSkewMs } from "../../../../src/enclave/evidence/judge.ts";
import {
  EvidenceFloorSchema,
  SimulatedQuoteSchema,
} from "../../../../src/enclave/messages/generated/fpc/evidence_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { signMessage } from "../../../../src/enclave/protocol/signing.ts";
import {
  type CertificateOptions,
  issueCertificate,
  sha256,
  type TestCertificate,
} from "../../../enclave-platforms/certificates.ts";
import {
  assertRefused,
  fieldOf,
  type JudgedCase,
  judge,
  policyFor,
  withField,
  withFlippedBit,
} from "../../../enclave-platforms/judging.ts";

const statement = Buffer.from("what an enclave says of itself");
const measurement = "5A".repeat(32);
const atMs = Date.parse("2026-05-01T12:00:00Z");

suite("simulated quotes", () => {
  let root: TestCertificate;
  let quoting: TestCertificate;
  let good: JudgedCase;

  before(async () => {
    root = await issueCertificate("Org1 root", { authorities: 0 });
    quoting = await certify();
    good = { statement, attestation: quote(), measurement, policy: policyFor("simulated", [root.pem]), atMs };
  });

  async function certify(options: CertificateOptions = {}): Promise<TestCertificate> {
    return await issueCertificate("host 1", { issuer: root, usages: [keyPurposes.simulated], ...options });
  }

  function quote(
    fields: { measurement?: string; statementHash?: Buffer; madeAtMs?: bigint } = {},
    by = quoting,
  ): Buffer {
    const bytes = encode(
      SimulatedQuoteSchema,
      create(SimulatedQuoteSchema, {
        measurement,
        statementHash: sha256(statement),
        madeAtMs: BigInt(atMs),
        ...fields,
      }),
    );
    return signed(bytes, by);
  }

  function signed(bytes: Buffer, by: TestCertificate): Buffer {
    const signature = signMessage("quote", bytes, by.key);
    return writeAttestation("simulated", {
      quote: bytes.toString("base64"),
      signature: signature.toString("base64"),
      certificate: by.der.toString("base64"),
    });
  }

  test("a quote under a root of the policy is accepted, with what it says", async () => {
    const verdict = await judge(good);
    assert.deepEqual(verdict, {
      type: "simulated",
      measurement,
      madeAtMs: atMs,
      tcbStatus: undefined,
      advisories: [],
      raisedFloor: undefined,
    });
    const floor = create(EvidenceFloorSchema, { entries: [] });
    assert.equal((await judge({ ...good, floor })).raisedFloor, undefined);
  });

  test("each of several roots of the policy is good", async () => {
    const other = await issueCertificate("Org2 root", { authorities: 0 });
    await judge({ ...good, policy: policyFor("simulated", [other.pem, root.pem]) });
  });

  test("a policy that does not name the type refuses it, whatever its root", async () => {
    const policy = policyFor("simulated", [root.pem]);
    for (const allowedAttestationTypes of [["tpm"], []])
      await assert.rejects(judge({ ...good, policy: { ...policy, allowedAttestationTypes } }), {
        code: "POLICY_DENIED",
        message: /does not allow attestations of type simulated/,
      });
  });

  test("a root that the policy has not, or has for another type, is refused", async () => {
    const other = await issueCertificate("Org1 root", { authorities: 0 });
    await assertRefused(judge({ ...good, policy: policyFor("simulated", [other.pem]) }), /of no root/);
    await assertRefused(judge({ ...good, policy: policyFor("simulated", []) }), /names no root/);
    const policy = { ...policyFor("tpm", [root.pem]), allowedAttestationTypes: ["simulated", "tpm"] };
    await assertRefused(judge({ ...good, policy }), /names no root/);
    await assertRefused(
      judge({ ...good, policy: policyFor("simulated", ["no certificate"]) }),
      /chain of certificates/,
    );
  });

  test("another statement, another measurement and another quote than the attestation's are refused", async () => {
    await assertRefused(judge({ ...good, statement: Buffer.from("another") }), /another statement/);
    await assertRefused(judge({ ...good, measurement: "5B".repeat(32) }), /by code of measurement 5A/);
    const evidence = toEvidence(quote({ madeAtMs: BigInt(atMs - 1) }));
    await assertRefused(judge({ ...good, evidence }), /of another attestation: quote/);
  });

  test("a quote is good for as long as the policy says, and not a second longer", async () => {
    await judge({ ...good, atMs: atMs + 3600_000 });
    await assertRefused(judge({ ...good, atMs: atMs + 3600_001 }), /3600 s old/);
    await assertRefused(
      judge({ ...good, atMs: atMs + 1000, policy: policyFor("simulated", [root.pem], 0) }),
      /allows 0 s/,
    );
  });

  test("a quote from the future is refused, but for what clocks differ by", async () => {
    await judge({ ...good, atMs: atMs - allowedClockSkewMs });
    await assertRefused(judge({ ...good, atMs: atMs - allowedClockSkewMs - 1 }), /after the transaction's time/);
  });

  test("a time that no calendar has is refused in words", async () => {
    for (const madeAtMs of [2n ** 63n - 1n, -(2n ** 63n), -1n])
      await assertRefused(judge({ ...good, attestation: quote({ madeAtMs }) }), /ms, after|s old/);
  });

  test("one changed bit in each part of the quote, the signature and the certificate is refused", async () => {
    const attestation = quote();
    for (const name of ["quote", "signature", "certificate"]) {
      const length = fieldOf(attestation, name).length;
      for (let at = 0; at < length; at += name === "certificate" ? 7 : 3) {
        const changed = withFlippedBit(attestation, name, at, at % 8);
        await assertRefused(judge({ ...good, attestation: changed }), /./);
      }
      await assertRefused(judge({ ...good, attestation: withFlippedBit(attestation, name, -1) }), /./);
    }
  });

  test("bytes behind the certificate, and base64 that is not canonical, are refused", async () => {
    const longer = (value: string) => Buffer.concat([Buffer.from(value, "base64"), Buffer.of(0)]).toString("base64");
    await assertRefused(judge({ ...good, attestation: withField(quote(), "certificate", longer) }), /certificate/);
    const spaced = (value: string) => `${value.slice(0, 4)} ${value.slice(4)}`;
    for (const name of ["quote", "signature", "certificate"])
      await assertRefused(judge({ ...good, attestation: withField(quote(), name, spaced) }), /canonical base64/);
  });

  test("a signature for another purpose, or by another key, is refused", async () => {
    const bytes = fieldOf(quote(), "quote");
    const bare = sign("sha256", bytes, quoting.key).toString("base64");
    await assertRefused(judge({ ...good, attestation: withField(quote(), "signature", () => bare) }), /signature/);
    const recovery = signMessage("recovery", bytes, quoting.key).toString("base64");
    await assertRefused(judge({ ...good, attestation: withField(quote(), "signature", () => recovery) }), /signature/);
    const other = signMessage("quote", bytes, root.key).toString("base64");
    await assertRefused(judge({ ...good, attestation: withField(quote(), "signature", () => other) }), /signature/);
  });

  test("a quote that the key signed, and that is malformed, is refused", async () => {
    const short = { ...good, attestation: quote({ statementHash: Buffer.alloc(31) }) };
    await assertRefused(judge(short), /another statement/);
    await assertRefused(judge({ ...good, attestation: quote({ statementHash: Buffer.alloc(0) }) }), /statement_hash/);
    await assertRefused(judge({ ...good, attestation: quote({ measurement: "5a".repeat(32) }) }), /measurement/);
    await assertRefused(judge({ ...good, attestation: quote({ madeAtMs: 0n }) }), /made_at_ms/);
    const unknown = Buffer.concat([fieldOf(quote(), "quote"), Buffer.from([0x38, 1])]);
    await assertRefused(judge({ ...good, attestation: signed(unknown, quoting) }), /unknown/);
  });

  test("a certificate for another use, of an authority, ended, not begun, or on another curve is refused", async () => {
    const by = async (options: CertificateOptions) => ({ ...good, attestation: quote({}, await certify(options)) });
    await assertRefused(judge(await by({ usages: [keyPurposes.tpm] })), /for another use/);
    await assertRefused(judge(await by({ usages: [keyPurposes.simulated, keyPurposes.tpm] })), /for another use/);
    await assertRefused(judge(await by({ usages: [] })), /for another use/);
    await assertRefused(judge(await by({ authorities: 0 })), /certificate 0 is an authority's/);
    await assertRefused(judge(await by({ to: new Date(atMs - 1000) })), /not valid at/);
    await assertRefused(judge(await by({ from: new Date(atMs + 1000) })), /not valid at/);
    await assertRefused(judge(await by({ curve: "P-384" })), /not one on P-256/);
  });

  test("a certificate that a certified platform issued itself is refused", async () => {
    await assertRefused(judge({ ...good, attestation: quote({}, await certify({ issuer: quoting })) }), /of no root/);
    const policy = policyFor("simulated", [quoting.pem]);
    const below = quote({}, await certify({ issuer: quoting }));
    await assertRefused(judge({ ...good, attestation: below, policy }), /no authority's|of no root/);
  });

  test("attestation and evidence of two types are refused", async () => {
    const attestation = writeAttestation("nitro", { document: "AAAA" });
    await assertRefused(
      judge({ ...good, attestation, evidence: toEvidence(quote()) }),
      /of type nitro, its evidence of type simulated/,
    );
  });
});
