import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import type { Attribute, PKCS11 } from "pkcs11js";
import { der, derTags } from "../../../../src/crypto/der.ts";
import { attributes, gcmLayouts, objectClasses } from "../../../../src/devices/pkcs11/constants.ts";
import { curves } from "../../../../src/devices/pkcs11/curves.ts";
import { KeyFinder } from "../../../../src/devices/pkcs11/key-finder.ts";
import { importKeyPair } from "../../../../src/devices/pkcs11/key-importing.ts";
import type { TokenContext } from "../../../../src/devices/pkcs11/token-context.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const point = publicKey.export({ format: "der", type: "spki" }).subarray(-65);
const pair = {
  id: Buffer.of(7),
  label: Buffer.from("imported"),
  curve: "ECC_NIST_P256",
  pkcs8: privateKey.export({ format: "der", type: "pkcs8" }),
  value: Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url"),
  point,
} as const;

/** A token that signs with zeros, keeps private keys to itself, and does not let go of secret keys. */
class FakeToken {
  /** Classes of what it holds, by handle. */
  readonly objects = new Map<number, unknown>();
  #next = 1;
  #found: Buffer[] = [];

  get module(): PKCS11 {
    return {
      C_CreateObject: (_: Buffer, template: readonly Attribute[]) => this.#make(template),
      C_UnwrapKey: (_s: Buffer, _m: object, _k: Buffer, _w: Buffer, template: readonly Attribute[]) =>
        this.#make(template),
      C_DestroyObject: (_: Buffer, object: Buffer) => {
        if (this.objects.get(object.readUInt8()) === objectClasses.secretKey) throw new Error("CKR_DEVICE_ERROR");
        this.objects.delete(object.readUInt8());
      },
      C_FindObjectsInit: (_: Buffer, template: readonly Attribute[]) => {
        const wanted = classOf(template);
        this.#found = [...this.objects].flatMap(([handle, its]) => (its === wanted ? [Buffer.of(handle)] : []));
      },
      C_FindObjects: () => this.#found.splice(0),
      C_FindObjectsFinal: () => {},
      C_GetAttributeValue: (_s: Buffer, _o: Buffer, wanted: readonly { type: number }[]) =>
        wanted.map(({ type }) => ({ value: attributeOf(type) })),
      C_SignInit: () => {},
      C_Sign: (_session: Buffer, _input: Buffer, out: Buffer) => out.fill(0),
    } as unknown as PKCS11;
  }

  #make(template: readonly Attribute[]): Buffer {
    const handle = this.#next++;
    this.objects.set(handle, classOf(template));
    return Buffer.of(handle);
  }
}

function classOf(template: readonly Attribute[]): unknown {
  return template.find(({ type }) => type === attributes.objectClass)?.value;
}

function attributeOf(type: number): Buffer | undefined {
  if (type === attributes.ecParams) return curves.ECC_NIST_P256.params[0];
  if (type === attributes.ecPoint) return der(derTags.octetString, point);
  return Buffer.of(type === attributes.extractable ? 0 : 1);
}

describe("a key that is imported into a token which signs wrongly", () => {
  it("leaves no key of the pair there, also where the token kept the key that it was wrapped under", async () => {
    const token = new FakeToken();
    const context: TokenContext = {
      module: token.module,
      session: Buffer.alloc(8),
      keys: new KeyFinder(),
      threads: false,
      gcmLayout: Object.keys(gcmLayouts)[0] as TokenContext["gcmLayout"],
      restrictsMechanisms: false,
      signatureRoom: Buffer.alloc(256),
    };
    await assert.rejects(importKeyPair(context, pair), { code: "IMPORT_REFUSED" });
    assert.deepEqual([...token.objects.values()], [objectClasses.secretKey]);
  });
});
