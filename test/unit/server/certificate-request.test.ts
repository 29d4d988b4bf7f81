import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { describe, it } from "node:test";
import { makeCertificateRequest, makeClientKeyPair } from "../../../src/client/certificate-request.ts";
import { der, derTags } from "../../../src/crypto/der.ts";
import { readCertificateRequest } from "../../../src/server/certificate-request.ts";

const oid = (hex: string) => der(derTags.objectIdentifier, Buffer.from(hex, "hex"));
const algorithms = { ecdsaSha256: "2a8648ce3d040302", ecdsaSha384: "2a8648ce3d040303", ed25519: "2b6570" };

type Kind = "P-256" | "P-384" | "secp256k1" | "ed25519" | "rsa";

/** A request with every part at hand, so that a test can make it wrong. */
function request(
  kind: Kind,
  parts: { name?: Buffer; attributes?: Buffer; version?: number; algorithm?: string; digest?: string | null } = {},
): Buffer {
  const { privateKey, publicKey } =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : kind === "ed25519"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("ec", { namedCurve: kind });
  const name = parts.name ?? commonName("node-0");
  const spki = publicKey.export({ type: "spki", format: "der" });
  const version = der(derTags.integer, Buffer.of(parts.version ?? 0));
  const info = der(derTags.sequence, version, name, spki, der(derTags.explicit0, parts.attributes ?? Buffer.of()));
  const digest = parts.digest === undefined ? (kind === "ed25519" ? null : "sha256") : parts.digest;
  const signature = sign(digest, info, privateKey);
  const algorithm = parts.algorithm ?? (kind === "ed25519" ? algorithms.ed25519 : algorithms.ecdsaSha256);
  return der(
    derTags.sequence,
    info,
    der(derTags.sequence, oid(algorithm)),
    der(derTags.bitString, Buffer.of(0), signature),
  );
}

function commonName(text: string): Buffer {
  return der(derTags.sequence, der(0x31, der(derTags.sequence, oid("550403"), der(0x0c, Buffer.from(text)))));
}

describe("a certification request", () => {
  const pair = makeClientKeyPair();
  const good = makeCertificateRequest("node-0", pair);

  it("is read with its name and the fingerprint of its key", () => {
    const read = readCertificateRequest(good);
    assert.equal(read?.name, "node-0");
    assert.deepEqual(read?.spki, pair.spki);
    assert.deepEqual(read?.spkiSha256, createHash("sha256").update(pair.spki).digest());
  });

  it("may be for an Ed25519 key", () => {
    assert.equal(readCertificateRequest(request("ed25519"))?.name, "node-0");
  });

  it("is refused with any single bit changed", () => {
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = Buffer.from(good);
      bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      assert.equal(readCertificateRequest(bad), undefined, `bit ${bit}`);
    }
  });

  it("is refused at every truncation, and with bytes after it", () => {
    for (let length = 0; length < good.length; length++)
      assert.equal(readCertificateRequest(good.subarray(0, length)), undefined);
    assert.equal(readCertificateRequest(Buffer.concat([good, Buffer.of(0)])), undefined);
  });

  it("is refused for keys on other curves and of other kinds", () => {
    assert.equal(readCertificateRequest(request("P-384")), undefined);
    assert.equal(readCertificateRequest(request("secp256k1")), undefined);
    assert.equal(readCertificateRequest(request("rsa", { algorithm: "2a864886f70d01010b" })), undefined);
  });

  it("is refused under another signature algorithm than the key's", () => {
    assert.equal(readCertificateRequest(request("P-256", { algorithm: algorithms.ecdsaSha384 })), undefined);
    assert.equal(readCertificateRequest(request("P-256", { algorithm: algorithms.ed25519 })), undefined);
    assert.equal(readCertificateRequest(request("P-256", { digest: "sha512" })), undefined);
  });

  it("is refused with attributes, another version, or another subject than one common name", () => {
    const attribute = der(derTags.sequence, oid("2a864886f70d010907"), der(0x31, der(0x0c, Buffer.from("x"))));
    assert.equal(readCertificateRequest(request("P-256", { attributes: attribute })), undefined);
    assert.equal(readCertificateRequest(request("P-256", { version: 1 })), undefined);
    assert.equal(readCertificateRequest(request("P-256", { name: der(derTags.sequence) })), undefined);
    const organisation = der(
      derTags.sequence,
      der(0x31, der(derTags.sequence, oid("55040a"), der(0x0c, Buffer.from("x")))),
    );
    assert.equal(readCertificateRequest(request("P-256", { name: organisation })), undefined);
    const two = der(derTags.sequence, commonName("a").subarray(2), commonName("b").subarray(2));
    assert.equal(readCertificateRequest(request("P-256", { name: two })), undefined);
  });

  it("is refused over 2048 bytes", () => {
    assert.equal(readCertificateRequest(request("P-256", { name: commonName("x".repeat(2000)) })), undefined);
  });
});
