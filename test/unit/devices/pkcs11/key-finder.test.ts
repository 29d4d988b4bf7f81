import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import type { Attribute, PKCS11 } from "pkcs11js";
import { der, derTags } from "../../../../src/crypto/der.ts";
import { attributes, gcmLayouts, objectClasses } from "../../../../src/devices/pkcs11/constants.ts";
import { curves, fingerprintOf } from "../../../../src/devices/pkcs11/curves.ts";
import { KeyFinder } from "../../../../src/devices/pkcs11/key-finder.ts";
import { longestSignedBytes, splitSigned } from "../../../../src/devices/pkcs11/signed.ts";
import { sign } from "../../../../src/devices/pkcs11/signing.ts";
import type { TokenContext } from "../../../../src/devices/pkcs11/token-context.ts";

const { publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const spki = publicKey.export({ format: "der", type: "spki" });
const point = spki.subarray(-65);
const [privateHandle, publicHandle] = [Buffer.alloc(8, 1), Buffer.alloc(8, 2)];

/** A token with one key pair, that signs with zeros. */
function fakeModule(): PKCS11 {
  let found: Buffer[] = [];
  const calls = {
    C_FindObjectsInit: (_: Buffer, template: readonly Attribute[]) => {
      const wanted = template.find(({ type }) => type === attributes.objectClass)?.value;
      found = [wanted === objectClasses.privateKey ? privateHandle : publicHandle];
    },
    C_FindObjects: () => found.splice(0),
    C_FindObjectsFinal: () => {},
    C_GetAttributeValue: () => [{ value: curves.ECC_NIST_P256.params[0] }, { value: der(derTags.octetString, point) }],
    C_SignInit: () => {},
    C_Sign: (_session: Buffer, _input: Buffer, out: Buffer) => out.fill(0),
  };
  return calls as unknown as PKCS11;
}

describe("a token's signature", () => {
  it("says by which finding of its handle it was made, so that none counts for one of another", () => {
    const keys = new KeyFinder();
    const context: TokenContext = {
      module: fakeModule(),
      session: Buffer.alloc(8),
      keys,
      threads: false,
      gcmLayout: Object.keys(gcmLayouts)[0] as TokenContext["gcmLayout"],
      restrictsMechanisms: false,
      signatureRoom: Buffer.alloc(longestSignedBytes),
    };
    const nonce = () => {
      const made = sign(context, Buffer.of(7), fingerprintOf(spki), "ECC_NIST_P256", Buffer.alloc(32));
      assert.ok(Buffer.isBuffer(made));
      return splitSigned("ECC_NIST_P256", made)?.nonce;
    };
    const first = nonce();
    assert.equal(nonce(), first);
    keys.forgetAll();
    const next = nonce();
    assert.notEqual(next, first);
    assert.equal(nonce(), next);
    assert.equal(next?.length, 8);
  });
});
