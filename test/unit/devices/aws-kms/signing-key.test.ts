import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { sm2VerifyDigest } from "../../../../src/crypto/sm2-digest.ts";
import { AwsKmsError } from "../../../../src/devices/aws-kms/errors.ts";
import { KmsSigningKey } from "../../../../src/devices/aws-kms/signing-key.ts";
import { awsError, json, KmsStub } from "./kms-stub.ts";
import { type Answers, keyArn, keyId, StubSigningKey, spkiOf } from "./signing-stub.ts";

const patient = { deadlineMs: 20_000, attemptMs: 5000, attempts: 3 } as const;
const digest = randomBytes(32);
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const signatureOf = (honest: object) =>
  Buffer.from(String((honest as { readonly Signature?: string }).Signature), "base64");

/** What a signature, asked for of a stub that answers so, fails with; and how often the stub was asked for it. */
async function signFailure(
  answers: Answers | ((stub: KmsStub) => void),
  curve: "sm2" | "secp256k1" = "sm2",
  times: Parameters<KmsStub["client"]>[0] = patient,
): Promise<{ readonly error: AwsKmsError; readonly asked: number }> {
  await using stub = await KmsStub.start();
  using honest = await StubSigningKey.make(curve);
  honest.serve(stub);
  using client = stub.client(times, { masterKey: keyId });
  using key = await KmsSigningKey.open(client, curve);
  if (typeof answers === "function") answers(stub);
  else honest.serve(stub, answers);
  const before = stub.requests.length;
  const error = await key.sign(digest).then(
    () => assert.fail("it signed"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AwsKmsError);
  return { error, asked: stub.requests.length - before };
}

describe("a signing key in a KMS", () => {
  for (const [curve, algorithm] of [
    ["sm2", "SM2DSA"],
    ["secp256k1", "ECDSA_SHA_256"],
  ] as const)
    it(`signs digests on ${curve}, by the ARN that its name had at the start`, async () => {
      await using stub = await KmsStub.start();
      using made = await StubSigningKey.make(curve);
      made.serve(stub);
      using client = stub.client(patient, { masterKey: "alias/node0" });
      using key = await KmsSigningKey.open(client, curve);
      assert.deepEqual([key.keyArn, key.publicKey], [keyArn, made.publicKey]);
      const rs = await key.sign(digest);
      assert.equal(rs.length, 64);
      if (curve === "sm2") assert.ok(sm2VerifyDigest(made.publicKey, digest, rs));
      assert.deepEqual(JSON.parse(stub.requests[1]?.body ?? ""), {
        KeyId: keyArn,
        Message: base64(digest),
        MessageType: "DIGEST",
        SigningAlgorithm: algorithm,
      });
    });

  const point = generateKeyPair("sm2").publicKey;
  const spki = spkiOf("sm2", point);
  const altered = (at: number, value: number) => {
    const copy = Buffer.from(spki);
    copy[at] = value;
    return copy;
  };
  for (const [what, publicKey, code] of [
    ["of another curve", { KeySpec: "ECC_SECG_P256K1" }, "KMS_KEY_UNSUITABLE"],
    ["of a curve that no chain has", { KeySpec: "ECC_NIST_P256" }, "KMS_KEY_UNSUITABLE"],
    ["for encryption", { KeyUsage: "ENCRYPT_DECRYPT" }, "KMS_KEY_UNSUITABLE"],
    ["whose usage is not said", { KeyUsage: undefined }, "KMS_ANSWER_INVALID"],
    ["that is another one", { KeyId: keyArn.replace("1234abcd", "1234abce") }, "KMS_ANSWER_INVALID"],
    ["without a public key", { PublicKey: undefined }, "KMS_ANSWER_INVALID"],
    ["that says SM2 and shows secp256k1", { PublicKey: spkiOf("secp256k1", generateKeyPair("secp256k1").publicKey) }],
    ["that says SM2 and shows a point of P-256", { PublicKey: spkiOf("sm2", generateKeyPair("p256").publicKey) }],
    ["with bytes after its DER", { PublicKey: Buffer.concat([spki, Buffer.of(0)]) }],
    ["with bytes before its DER", { PublicKey: Buffer.concat([Buffer.of(0), spki]) }],
    ["whose DER is cut", { PublicKey: spki.subarray(0, -1) }],
    ["with unused bits", { PublicKey: altered(spki.length - 66, 1) }],
    ["of a compressed form", { PublicKey: altered(spki.length - 65, 2) }],
    ["of the point at infinity", { PublicKey: spkiOf("sm2", Buffer.alloc(65)) }],
    ["of 60 KiB", { PublicKey: Buffer.alloc(45_000) }],
  ] as const)
    it(`is not opened when it is one ${what}`, async () => {
      await using stub = await KmsStub.start();
      using made = await StubSigningKey.make("sm2");
      const shown = "PublicKey" in publicKey && publicKey.PublicKey !== undefined;
      made.serve(stub, { publicKey: shown ? { PublicKey: base64(publicKey.PublicKey) } : publicKey });
      using client = stub.client(patient, { masterKey: keyId });
      await assert.rejects(KmsSigningKey.open(client, "sm2"), { code: code ?? "KMS_ANSWER_INVALID" });
    });

  for (const [what, change] of [
    ["no DER", () => Buffer.alloc(70, 7)],
    ["empty", () => Buffer.alloc(0)],
    ["r and s side by side", () => Buffer.alloc(64, 1)],
    ["with a byte after it", (honest: Buffer) => Buffer.concat([honest, Buffer.of(0)])],
    ["cut", (honest: Buffer) => honest.subarray(0, -1)],
    ["of three numbers", () => der(derTags.sequence, ...[1, 2, 3].map((byte) => derUnsigned(Buffer.of(byte))))],
    ["of a negative number", () => Buffer.from("30060201ff020101", "hex")],
    ["with a number that has a zero too many", () => Buffer.from("300702020001020101", "hex")],
    ["with a long form of a short length", (honest: Buffer) => der2(honest)],
    ["of 33 bytes of r", () => der(derTags.sequence, derUnsigned(Buffer.alloc(33, 1)), derUnsigned(Buffer.of(1)))],
    ["of 100 bytes", () => Buffer.alloc(100, 0x30)],
  ] as const)
    it(`gives out no signature that is ${what}`, async () => {
      const { error, asked } = await signFailure({
        sign: (_, honest) => ({ ...honest, Signature: base64(change(signatureOf(honest))) }),
      });
      assert.deepEqual([error.code, error.exitCode, error.effect, asked], ["KMS_ANSWER_INVALID", 5, "unknown", 1]);
    });

  for (const curve of ["sm2", "secp256k1"] as const) {
    it(`finds out that the KMS signs with another key on ${curve}`, async () => {
      using other = await StubSigningKey.make(curve);
      const { error } = await signFailure((stub) => other.serve(stub), curve);
      assert.deepEqual([error.code, error.exitCode, error.effect], ["KMS_KEY_CHANGED", 5, "unknown"]);
    });

    it(`finds out that the KMS has signed another digest on ${curve}`, async () => {
      await using stub = await KmsStub.start();
      using made = await StubSigningKey.make(curve);
      made.serve(stub);
      using client = stub.client(patient, { masterKey: keyId });
      using key = await KmsSigningKey.open(client, curve);
      const Signature = base64(await made.sign(randomBytes(32)));
      made.serve(stub, { sign: (_, honest) => ({ ...honest, Signature }) });
      await assert.rejects(key.sign(digest), { code: "KMS_KEY_CHANGED" });
    });

    it(`takes neither 0 nor what is past the order for r or s on ${curve}`, async () => {
      const past = Buffer.alloc(32, 0xff);
      for (const [r, s] of [
        [Buffer.of(0), Buffer.of(1)],
        [Buffer.of(1), Buffer.of(0)],
        [past, Buffer.of(1)],
        [Buffer.of(1), past],
      ] as const) {
        const Signature = base64(der(derTags.sequence, derUnsigned(r), derUnsigned(s)));
        const { error } = await signFailure({ sign: (_, honest) => ({ ...honest, Signature }) }, curve);
        assert.equal(error.code, "KMS_KEY_CHANGED");
      }
    });
  }

  for (const [what, changed] of [
    ["another key", { KeyId: keyArn.replace("1234abcd", "1234abce") }],
    ["the key's id in place of its ARN", { KeyId: keyId }],
    ["no key", { KeyId: undefined }],
    ["another algorithm", { SigningAlgorithm: "ECDSA_SHA_256" }],
    ["no algorithm", { SigningAlgorithm: undefined }],
    ["no signature", { Signature: undefined }],
  ] as const)
    it(`takes no answer that names ${what}`, async () => {
      const { error } = await signFailure({ sign: (_, honest) => ({ ...honest, ...changed }) });
      assert.deepEqual([error.code, error.effect], ["KMS_ANSWER_INVALID", "unknown"]);
    });

  for (const [name, status, code, effect] of [
    ["AccessDeniedException", 400, "KMS_ACCESS_DENIED", "none"],
    ["DisabledException", 400, "KMS_KEY_DISABLED", "none"],
    ["NotFoundException", 400, "KMS_KEY_NOT_FOUND", "none"],
    ["KMSInvalidStateException", 400, "KMS_KEY_STATE", "none"],
    ["InvalidSignatureException", 400, "KMS_CREDENTIALS_REFUSED", "none"],
    ["ThrottlingException", 400, "KMS_THROTTLED", "none"],
    ["LimitExceededException", 400, "KMS_THROTTLED", "none"],
    ["KMSInternalException", 500, "KMS_UNAVAILABLE", "unknown"],
    ["KeyUnavailableException", 500, "KMS_UNAVAILABLE", "unknown"],
    ["DependencyTimeoutException", 503, "KMS_UNAVAILABLE", "unknown"],
    ["SomethingNewException", 400, "KMS_ANSWER_INVALID", "unknown"],
  ] as const)
    it(`asks once and tells ${name} as a failure whose effect is ${effect}`, async () => {
      const { error, asked } = await signFailure((stub) => {
        stub.answer = awsError(name, status);
      });
      assert.deepEqual([error.code, error.effect, asked], [code, effect, 1]);
    });

  it("does not know whether a KMS that falls silent has signed, and does not ask it again", async () => {
    const silent = (stub: KmsStub) => {
      stub.answer = () => {};
    };
    const { error, asked } = await signFailure(silent, "sm2", { ...patient, attemptMs: 600 });
    assert.deepEqual([error.code, error.effect, asked], ["KMS_TIMEOUT", "unknown", 1]);
  });

  it("does not know whether a KMS that hangs up has signed, and does not ask it again", async () => {
    const { error, asked } = await signFailure((stub) => {
      stub.answer = (_, response) => response.destroy();
    });
    assert.deepEqual([error.code, error.effect, asked], ["KMS_UNREACHABLE", "unknown", 1]);
  });

  it("does not know whether a KMS whose answer breaks off has signed", async () => {
    const breaksOff = (stub: KmsStub) => {
      stub.answer = (_, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("{");
      };
    };
    const { error } = await signFailure(breaksOff, "sm2", { ...patient, attemptMs: 600 });
    assert.equal(error.effect, "unknown");
  });

  it("knows that nothing was signed where nobody listens", async () => {
    await using stub = await KmsStub.start();
    const nobody = await KmsStub.start();
    const { endpoint } = nobody;
    await nobody[Symbol.asyncDispose]();
    using client = stub.client(patient, { endpoint, masterKey: keyId });
    await assert.rejects(client.sign(digest, "SM2DSA"), { code: "KMS_UNREACHABLE", effect: "none" });
  });

  it("knows that nothing was signed where the peer speaks no TLS, or is not trusted", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.end("hello");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      await using stub = await KmsStub.start();
      const { port } = server.address() as { readonly port: number };
      using client = stub.client(patient, { endpoint: `https://127.0.0.1:${port}`, masterKey: keyId });
      await assert.rejects(client.sign(digest, "SM2DSA"), { effect: "none" });
    } finally {
      server.close();
    }
  });

  it("does not send anything once its client is closed", async () => {
    await using stub = await KmsStub.start(json({}));
    const client = stub.client(patient, { masterKey: keyId });
    client[Symbol.dispose]();
    await assert.rejects(client.sign(digest, "SM2DSA"), { code: "KMS_UNREACHABLE", effect: "none" });
    assert.equal(stub.requests.length, 0);
  });

  it("takes digests of 32 bytes only", async () => {
    await using stub = await KmsStub.start();
    using client = stub.client(patient);
    for (const bytes of [0, 20, 31, 33, 64])
      await assert.rejects(client.sign(Buffer.alloc(bytes), "SM2DSA"), RangeError);
    assert.equal(stub.requests.length, 0);
  });
});

/** The same sequence with its length in two bytes where one is enough. */
function der2(honest: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x30, 0x81, honest.length - 2), honest.subarray(2)]);
}
