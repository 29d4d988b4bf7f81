import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { before, suite, test } from "node:test";
import fc from "fast-check";
import { writeAttestation } from "../../../../src/enclave/evidence/attestation-json.ts";
import { keyPurposes } from "../../../../src/enclave/evidence/certificates.ts";
import { measuredPcr, tpmExtraData } from "../../../../src/enclave/evidence/tpm.ts";
import { readTpmQuote, readTpmSignature } from "../../../../src/enclave/evidence/tpm-attest.ts";
import { issueCertificate, sha256, type TestCertificate } from "../../../enclave-platforms/certificates.ts";
import {
  assertRefused,
  type JudgedCase,
  judge,
  policyFor,
  withField,
  withFlippedBit,
} from "../../../enclave-platforms/judging.ts";
import { scaled, seed } from "../../../run-settings.ts";

const statement = Buffer.from("what an enclave says of itself");
const digest = Buffer.alloc(32, 0x5a);
const measurement = "5A".repeat(32);
const atMs = Date.parse("2026-05-01T12:00:00Z");

/** TPMS_ATTEST of a quote, by the TPM 2.0 Library specification, part 2. */
interface Attest {
  readonly magic?: number;
  readonly type?: number;
  readonly extraData?: Buffer;
  readonly selections?: readonly { readonly bank: number; readonly pcrs: Buffer }[];
  readonly digest?: Buffer;
  readonly behind?: Buffer;
}

function attest(fields: Attest = {}): Buffer {
  const sized = (bytes: Buffer) => Buffer.concat([number(bytes.length, 2), bytes]);
  const selections = fields.selections ?? [{ bank: 0x000b, pcrs: Buffer.of(0, 1 << (measuredPcr - 8), 0) }];
  return Buffer.concat([
    number(fields.magic ?? 0xff544347, 4),
    number(fields.type ?? 0x8018, 2),
    sized(Buffer.alloc(34, 1)),
    sized(fields.extraData ?? tpmExtraData(sha256(statement), atMs)),
    Buffer.alloc(17, 2),
    Buffer.alloc(8, 3),
    number(selections.length, 4),
    ...selections.map(({ bank, pcrs }) => Buffer.concat([number(bank, 2), number(pcrs.length, 1), pcrs])),
    sized(fields.digest ?? digest),
    fields.behind ?? Buffer.alloc(0),
  ]);
}

function number(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

function tpmSignature(bytes: Buffer, by: TestCertificate): Buffer {
  const raw = sign("sha256", bytes, { key: by.key, dsaEncoding: "ieee-p1363" });
  const half = (from: number) => Buffer.concat([number(32, 2), raw.subarray(from, from + 32)]);
  return Buffer.concat([number(0x18, 2), number(0x0b, 2), half(0), half(32)]);
}

suite("quotes of a TPM", () => {
  let root: TestCertificate;
  let key: TestCertificate;
  let good: JudgedCase;

  before(async () => {
    root = await issueCertificate("Org1 root", { authorities: 0 });
    key = await issueCertificate("TPM of host 1", { issuer: root, usages: [keyPurposes.tpm] });
    good = { statement, attestation: quoted(attest()), measurement, policy: policyFor("tpm", [root.pem]), atMs };
  });

  function quoted(bytes: Buffer, by = key): Buffer {
    return writeAttestation("tpm", {
      attest: bytes.toString("base64"),
      signature: tpmSignature(bytes, by).toString("base64"),
      made_at_ms: String(atMs),
      certificate: by.der.toString("base64"),
    });
  }

  const refused = async (fields: Attest, reason: RegExp) =>
    await assertRefused(judge({ ...good, attestation: quoted(attest(fields)) }), reason);

  test("a quote of the measured PCR is accepted, with the time that the TPM signed", async () => {
    const verdict = await judge(good);
    assert.equal(verdict.type, "tpm");
    assert.equal(verdict.measurement, measurement);
    assert.equal(verdict.madeAtMs, atMs);
  });

  test("what is not made by a TPM, or is no quote, is refused though the key signed it", async () => {
    await refused({ magic: 0xff544348 }, /not made by a TPM/);
    await refused({ type: 0x8017 }, /not a quote/);
  });

  test("a quote of another PCR, of several, of none, or of another bank is refused", async () => {
    const select = (...pcrs: number[]) => [{ bank: 0x000b, pcrs: Buffer.from(pcrs) }];
    await refused({ selections: select(0, 0, 0x80) }, /of PCR 23, not of PCR 13/);
    await refused({ selections: select(0, 0, 1) }, /of PCR 16, not of PCR 13/);
    await refused({ selections: select(1, 0x20, 0) }, /exactly one PCR/);
    await refused({ selections: select(0, 0, 0) }, /exactly one PCR/);
    await refused({ selections: [] }, /SHA-256 bank alone/);
    await refused({ selections: [...select(0, 0x20, 0), ...select(0, 0x20, 0)] }, /SHA-256 bank alone/);
    await refused({ selections: [{ bank: 0x0004, pcrs: Buffer.of(0, 0x20, 0) }] }, /SHA-256 bank alone/);
  });

  test("another nonce, another time, another digest and bytes behind are refused", async () => {
    await refused({ extraData: sha256(statement) }, /another statement/);
    await refused({ extraData: Buffer.alloc(0) }, /another statement/);
    await refused({ digest: Buffer.alloc(32, 0x5b) }, /by code of measurement/);
    await refused({ digest: Buffer.alloc(20, 0x5a) }, /not SHA-256/);
    await refused({ behind: Buffer.of(0) }, /bytes behind/);
    const later = withField(good.attestation as Buffer, "made_at_ms", () => String(atMs + 1));
    await assertRefused(judge({ ...good, attestation: later }), /made at another time/);
    await assertRefused(judge({ ...good, statement: Buffer.from("another") }), /another statement/);
    for (const text of ["0", "-1", "1e9", "01", "1.5", " 1", "9".repeat(16)])
      await assertRefused(
        judge({ ...good, attestation: withField(good.attestation as Buffer, "made_at_ms", () => text) }),
        /not a time/,
      );
  });

  test("a quote older than the policy's age, or from the future, is refused", async () => {
    await assertRefused(judge({ ...good, atMs: atMs + 3_601_000 }), /3601 s old/);
    await assertRefused(judge({ ...good, atMs: atMs - 3_600_000 }), /after the transaction's time/);
  });

  test("one changed bit in the attest structure, its signature or the certificate is refused", async () => {
    for (const name of ["attest", "signature", "certificate"])
      for (let at = 0; at < 72; at++) {
        const changed = withFlippedBit(good.attestation as Buffer, name, at, at % 8);
        await assertRefused(judge({ ...good, attestation: changed }), /./);
      }
  });

  test("a simulated quoting key is no TPM's, though the same root certified it", async () => {
    const simulated = await issueCertificate("host 1", { issuer: root, usages: [keyPurposes.simulated] });
    await assertRefused(judge({ ...good, attestation: quoted(attest(), simulated) }), /for another use/);
  });

  test("a certificate of another root is refused", async () => {
    const other = await issueCertificate("Org1 root", { authorities: 0 });
    const stranger = await issueCertificate("TPM", { issuer: other, usages: [keyPurposes.tpm] });
    await assertRefused(judge({ ...good, attestation: quoted(attest(), stranger) }), /of no root/);
  });

  test("a signature by another algorithm, too long, or with bytes behind is refused", async () => {
    const signature = tpmSignature(attest(), key);
    const put = (bytes: Buffer) => withField(good.attestation as Buffer, "signature", () => bytes.toString("base64"));
    const rsa = Buffer.concat([number(0x14, 2), signature.subarray(2)]);
    await assertRefused(judge({ ...good, attestation: put(rsa) }), /not ECDSA/);
    await assertRefused(judge({ ...good, attestation: put(Buffer.concat([signature, Buffer.of(0)])) }), /bytes behind/);
    await assertRefused(judge({ ...good, attestation: put(signature.subarray(0, -1)) }), /cut short/);
    const long = Buffer.concat([
      signature.subarray(0, 4),
      number(33, 2),
      Buffer.alloc(33),
      number(32, 2),
      Buffer.alloc(32),
    ]);
    await assertRefused(judge({ ...good, attestation: put(long) }), /not one on P-256/);
  });

  test("any bytes are read or refused as bad evidence, and every cut of a quote is refused", () => {
    const whole = attest();
    for (let length = 0; length < whole.length; length++)
      assert.throws(() => readTpmQuote(whole.subarray(0, length)), { code: "BAD_EVIDENCE" });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [readTpmQuote, readTpmSignature])
          try {
            read(bytes);
          } catch (error) {
            assert.equal((error as { code?: string }).code, "BAD_EVIDENCE");
          }
      }),
      { seed, numRuns: scaled(4000) },
    );
  });
});
