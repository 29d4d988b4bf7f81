import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import {
  collateralFields,
  readAttestation,
  readEvidence,
  toEvidence,
  writeAttestation,
} from "../../../../src/enclave/evidence/attestation-json.ts";
import { scaled, seed } from "../../../run-settings.ts";

const good = writeAttestation("simulated", { quote: "cXVvdGU=", signature: "c2ln", certificate: "Y2VydA==" });

function refuses(text: string | Buffer, reason: RegExp, read = readAttestation) {
  assert.throws(
    () => read(Buffer.from(text)),
    (error: unknown) => error instanceof EnclaveError && error.code === "BAD_EVIDENCE" && reason.test(error.message),
    String(text).slice(0, 100),
  );
}

suite("the JSON of attestations and evidence", () => {
  test("an attestation is written in one form, which is read", () => {
    assert.equal(
      good.toString(),
      '{"attestation_type":"simulated","attestation":{"quote":"cXVvdGU=","signature":"c2ln","certificate":"Y2VydA=="}}',
    );
    const { type, fields } = readAttestation(good);
    assert.equal(type, "simulated");
    assert.deepEqual([...fields.keys()], ["quote", "signature", "certificate"]);
  });

  test("evidence of a type without collateral has the attestation's fields", () => {
    const evidence = readEvidence(toEvidence(good));
    assert.deepEqual(evidence.fields, readAttestation(good).fields);
  });

  test("evidence of a quote of Intel's has the collateral behind it, and can't be made without", () => {
    const attestation = writeAttestation("sgx-dcap", { quote: "cXVvdGU=" });
    const collateral = Object.fromEntries(collateralFields.map((name) => [name, "x"]));
    const evidence = readEvidence(toEvidence(attestation, collateral));
    assert.deepEqual([...evidence.fields.keys()], ["quote", ...collateralFields]);
    for (const name of collateralFields)
      assert.throws(() => toEvidence(attestation, { ...collateral, [name]: "" }), { code: "BAD_EVIDENCE" }, name);
  });

  test("collateral can't put another quote in the place of the attestation's", () => {
    const attestation = writeAttestation("nitro", { document: "ZG9j" });
    assert.equal(readEvidence(toEvidence(attestation, { document: "YW5vdGhlcg==" })).fields.get("document"), "ZG9j");
  });

  test("EPID is refused by name, since nobody can verify it any more", () => {
    for (const type of ["epid-linkable", "epid-unlinkable"])
      refuses(`{"attestation_type":"${type}","attestation":"MA=="}`, /Intel has ended the service/);
  });

  test("every other spelling of the same JSON is refused", () => {
    const text = good.toString();
    refuses(` ${text}`, /canonical/);
    refuses(`${text}\n`, /canonical/);
    refuses(text.replace(",", ", "), /canonical/);
    refuses(
      text.replace('{"attestation_type":"simulated",', '{"attestation_type":"tpm","attestation_type":"simulated",'),
      /canonical/,
    );
    refuses(text.replace('"quote":"cXVvdGU="', '"quote":"AAAA","quote":"cXVvdGU="'), /canonical/);
    refuses(text.replace("c2ln", "\\u00632ln"), /canonical/);
    refuses(`\ufeff${text}`, /cannot be read/);
  });

  test("a field more, less, in another place, empty, or of another type is refused", () => {
    const of = (value: unknown) => JSON.stringify(value);
    const inner = { quote: "cQ==", signature: "cw==", certificate: "Yw==" };
    refuses(of({ attestation_type: "simulated", attestation: inner, more: 1 }), /exactly the fields/);
    refuses(of({ attestation: inner, attestation_type: "simulated" }), /in this order/);
    refuses(of({ attestation_type: "simulated" }), /exactly the fields/);
    refuses(of({ attestation_type: "simulated", evidence: inner }), /exactly the fields/);
    refuses(of({ attestation_type: "simulated", attestation: { ...inner, more: "x" } }), /exactly the fields/);
    refuses(
      of({ attestation_type: "simulated", attestation: { quote: "cQ==", signature: "cw==" } }),
      /exactly the fields/,
    );
    refuses(of({ attestation_type: "simulated", attestation: { ...inner, quote: "" } }), /quote of the attestation/);
    refuses(of({ attestation_type: "simulated", attestation: { ...inner, quote: 1 } }), /quote of the attestation/);
    refuses(of({ attestation_type: "simulated", attestation: "MA==" }), /not an object/);
    refuses(of({ attestation_type: "simulated", attestation: [] }), /not an object/);
    refuses(of({ attestation_type: "other", attestation: inner }), /unknown type/);
    refuses(of({ attestation_type: 1, attestation: inner }), /unknown type/);
    refuses(of({ attestation_type: "__proto__", attestation: inner }), /unknown type/);
    refuses(of(null), /not an object/);
    refuses("[]", /not an object/);
  });

  test("an empty text, one that is too long, one that is no JSON or no UTF-8 is refused", () => {
    refuses("", /empty/);
    refuses("{", /cannot be read/);
    refuses(Buffer.from([0xff, 0xfe]), /cannot be read/);
    refuses(Buffer.alloc(300_000, 0x20), /longer than/);
  });

  test("any bytes are read or refused as bad evidence, and what is read is written the same", () => {
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(anything, (bytes) => {
        for (const read of [readAttestation, readEvidence])
          try {
            read(bytes);
            assert.fail("nothing that is drawn here is an attestation");
          } catch (error) {
            assert.ok(error instanceof EnclaveError, String(error));
            assert.equal(error.code, "BAD_EVIDENCE");
          }
      }),
      { seed, numRuns: scaled(4000) },
    );
  });

  test("one character changed anywhere is refused, or is another value of a field", () => {
    const text = good.toString();
    for (let at = 0; at < text.length; at++) {
      const changed = `${text.slice(0, at)}${text[at] === "x" ? "y" : "x"}${text.slice(at + 1)}`;
      try {
        const { type, fields } = readAttestation(Buffer.from(changed));
        assert.notDeepEqual([type, ...fields], ["simulated", ...readAttestation(good).fields]);
      } catch (error) {
        assert.equal((error as EnclaveError).code, "BAD_EVIDENCE");
      }
    }
  });
});
