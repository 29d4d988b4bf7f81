import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { AwsKmsError, type AwsKmsErrorCode } from "../../../../src/devices/aws-kms/errors.ts";
import { awsError, json, KmsStub, plantedSecret } from "./kms-stub.ts";

const blob = Buffer.alloc(64, 7);
const keyArn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const dataKey = (bytes: number) => ({
  KeyId: keyArn,
  Plaintext: Buffer.alloc(bytes, 9).toString("base64"),
  CiphertextBlob: blob.toString("base64"),
});
const patient = { deadlineMs: 20_000, attemptMs: 5000, attempts: 2 } as const;
/** For a KMS that never answers. */
const quick = { deadlineMs: 2000, attemptMs: 300, attempts: 2 } as const;

async function failureOf(stub: KmsStub, times: Parameters<KmsStub["client"]>[0] = patient): Promise<AwsKmsError> {
  using client = stub.client(times);
  const error = await client.decrypt(blob, { node: "n" }).then(
    () => assert.fail("it succeeded"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AwsKmsError, inspect(error));
  return error;
}

describe("client of an AWS KMS", () => {
  it("asks for data keys under the master key and context that it was given, and takes them in as secrets", async () => {
    await using stub = await KmsStub.start(json(dataKey(32)));
    using client = stub.client();
    const made = await client.generateDataKey(32, { network: "net", node: "n" });
    using plaintext = made.plaintext;
    assert.equal(plaintext.byteLength, 32);
    assert.ok(plaintext.equals(Buffer.alloc(32, 9)));
    assert.deepEqual([made.keyArn, made.blob], [keyArn, blob]);
    const [request] = stub.requests;
    assert.equal(request?.target, "TrentService.GenerateDataKey");
    assert.deepEqual(JSON.parse(request?.body ?? ""), {
      KeyId: "alias/kaleido",
      NumberOfBytes: 32,
      EncryptionContext: { network: "net", node: "n" },
    });
  });

  it("opens blobs under the very master key that is named", async () => {
    await using stub = await KmsStub.start(json(dataKey(32)));
    using client = stub.client();
    using plaintext = (await client.decrypt(blob, {}, keyArn)).plaintext;
    assert.equal(plaintext.byteLength, 32);
    assert.deepEqual(JSON.parse(stub.requests[0]?.body ?? ""), {
      KeyId: keyArn,
      CiphertextBlob: blob.toString("base64"),
      EncryptionContext: {},
    });
  });

  const keyId = keyArn.slice(keyArn.indexOf("/") + 1);
  const others = [keyArn.replace("1234abcd", "1234abce"), keyArn.replace("1111", "2222"), keyArn.replace("eu-", "us-")];
  for (const [named, wrong] of [
    [keyArn, others],
    [keyId, others.slice(0, 1)],
  ] as const)
    it(`takes no answer that is about another key than the one named as ${named}`, async () => {
      await using stub = await KmsStub.start();
      using client = stub.client(patient);
      for (const other of wrong) {
        stub.answer = json({ ...dataKey(32), KeyId: other });
        const refused = { code: "KMS_ANSWER_INVALID", exitCode: 5 };
        await assert.rejects(client.decrypt(blob, {}, named), refused);
        await assert.rejects(client.generateDataKey(32, {}, named), refused);
        await assert.rejects(client.generateDataKeyWithoutPlaintext(32, {}, named), refused);
      }
    });

  for (const named of [keyArn, keyId, "alias/kaleido", keyArn.replace(/:key.*/, ":alias/kaleido")])
    it(`takes the ARN of the key that is named as ${named}`, async () => {
      await using stub = await KmsStub.start(json(dataKey(32)));
      using client = stub.client(patient);
      const opened = await client.decrypt(blob, {}, named);
      opened.plaintext[Symbol.dispose]();
      assert.equal(opened.keyArn, keyArn);
    });

  const refusals: readonly (readonly [string, AwsKmsErrorCode, number])[] = [
    ["AccessDeniedException", "KMS_ACCESS_DENIED", 3],
    ["DisabledException", "KMS_KEY_DISABLED", 3],
    ["NotFoundException", "KMS_KEY_NOT_FOUND", 3],
    ["KMSInvalidStateException", "KMS_KEY_STATE", 3],
    ["InvalidKeyUsageException", "KMS_KEY_STATE", 3],
    ["UnrecognizedClientException", "KMS_CREDENTIALS_REFUSED", 3],
    ["InvalidSignatureException", "KMS_CREDENTIALS_REFUSED", 3],
    ["IncompleteSignatureException", "KMS_CREDENTIALS_REFUSED", 3],
    ["MissingAuthenticationTokenException", "KMS_CREDENTIALS_REFUSED", 3],
    ["ExpiredTokenException", "KMS_CREDENTIALS_REFUSED", 3],
    ["InvalidCiphertextException", "KMS_CIPHERTEXT_REFUSED", 5],
    ["IncorrectKeyException", "KMS_CIPHERTEXT_REFUSED", 5],
    ["ValidationException", "KMS_REQUEST_INVALID", 2],
    ["SomethingNewException", "KMS_ANSWER_INVALID", 5],
  ];
  for (const [name, code, exit] of refusals)
    it(`tells ${name} as ${code}, asked once, with none of the peer's words`, async () => {
      await using stub = await KmsStub.start(awsError(name));
      const error = await failureOf(stub);
      assert.deepEqual([error.code, error.exitCode], [code, exit]);
      assert.equal(stub.requests.length, 1);
      assert.doesNotMatch(inspect(error, { depth: 9 }), /what the peer says|PLANTED/);
      if (exit === 3) assert.match(error.message, /^access refused: /);
    });

  for (const [name, status, code] of [
    ["ThrottlingException", 400, "KMS_THROTTLED"],
    ["KMSInternalException", 500, "KMS_UNAVAILABLE"],
    ["KeyUnavailableException", 500, "KMS_UNAVAILABLE"],
    ["DependencyTimeoutException", 503, "KMS_UNAVAILABLE"],
  ] as const)
    it(`asks again after ${name}, but not for ever`, async () => {
      await using stub = await KmsStub.start(awsError(name, status));
      const error = await failureOf(stub, { ...patient, attempts: 3 });
      assert.deepEqual([error.code, error.exitCode], [code, 4]);
      assert.equal(stub.requests.length, 3);
    });

  it("succeeds when a KMS that failed answers the next attempt", async () => {
    await using stub = await KmsStub.start((request, response) =>
      (stub.requests.length === 1 ? awsError("KMSInternalException", 500) : json(dataKey(32)))(request, response),
    );
    using client = stub.client(patient);
    using plaintext = (await client.decrypt(blob, {})).plaintext;
    assert.equal(plaintext.byteLength, 32);
  });

  it("gives a silent KMS up after its deadline", async () => {
    await using stub = await KmsStub.start(() => {});
    const error = await failureOf(stub, quick);
    assert.deepEqual([error.code, error.exitCode], ["KMS_TIMEOUT", 4]);
    assert.ok(stub.requests.length <= 2);
  });

  it("gives a KMS up that begins an answer and never ends it", async () => {
    await using stub = await KmsStub.start((_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("{");
    });
    assert.equal((await failureOf(stub, quick)).code, "KMS_TIMEOUT");
  });

  it("is not left waiting by a KMS that switches protocols, and does not know whether it signed", async () => {
    const switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    await using stub = await KmsStub.start((_, response) => response.socket?.end(switching));
    assert.equal((await failureOf(stub)).code, "KMS_UNREACHABLE");
    using client = stub.client(patient);
    const before = stub.requests.length;
    await assert.rejects(client.sign(Buffer.alloc(32), "SM2DSA"), { code: "KMS_UNREACHABLE", effect: "unknown" });
    assert.equal(stub.requests.length, before + 1);
  });

  it("says that a KMS is unreachable when nobody listens there", async () => {
    const stub = await KmsStub.start();
    const { endpoint } = stub;
    await stub[Symbol.asyncDispose]();
    await using other = await KmsStub.start();
    using client = other.client(patient, { endpoint });
    await assert.rejects(client.decrypt(blob, {}), { code: "KMS_UNREACHABLE", exitCode: 4 });
  });

  for (const [what, answer] of [
    ["text that is not JSON", "<html>"],
    ["half of an object", '{"Plaintext":"AA'],
    ["nothing", ""],
    ["no plaintext", { KeyId: keyArn }],
    ["an empty plaintext", { KeyId: keyArn, Plaintext: "" }],
    ["no key id", { Plaintext: "AAAA" }],
    ["a key id that is no ARN", { ...dataKey(32), KeyId: "1234abcd-12ab-34cd-56ef-1234567890ab" }],
    ["an alias in a key's place", { ...dataKey(32), KeyId: keyArn.replace(/:key.*/, ":alias/kaleido") }],
    ["a key ARN of many lines", { ...dataKey(32), KeyId: `${keyArn}\n` }],
    ["a key id of 60 KiB", { ...dataKey(32), KeyId: keyArn + "a".repeat(60_000) }],
    ["a key id that is no text", { ...dataKey(32), KeyId: [keyArn] }],
    ["an array", []],
    ["over 64 KiB", { KeyId: keyArn, Plaintext: "A".repeat(70_000) }],
  ] as const)
    it(`takes ${what} for no KMS's answer`, async () => {
      await using stub = await KmsStub.start(json(answer));
      const error = await failureOf(stub);
      assert.deepEqual([error.code, error.exitCode], ["KMS_ANSWER_INVALID", 5]);
    });

  for (const [what, answer] of [
    ["of another length", dataKey(16)],
    ["without a wrapped copy", { ...dataKey(32), CiphertextBlob: undefined }],
    [
      "with a wrapped copy that is too large",
      { ...dataKey(32), CiphertextBlob: Buffer.alloc(7000).toString("base64") },
    ],
  ] as const)
    it(`refuses a data key ${what}`, async () => {
      await using stub = await KmsStub.start(json(answer));
      using client = stub.client(patient);
      await assert.rejects(client.generateDataKey(32, {}), { code: "KMS_ANSWER_INVALID" });
    });

  it("uses its own credentials and endpoint, whatever the environment holds", async () => {
    await using stub = await KmsStub.start(json(dataKey(32)));
    await using other = await KmsStub.start(json(dataKey(32)));
    const planted: Readonly<Record<string, string>> = {
      AWS_ACCESS_KEY_ID: "AKIAFROMENVIRONMENT0",
      AWS_SECRET_ACCESS_KEY: "from the environment",
      AWS_SESSION_TOKEN: "from the environment",
      AWS_REGION: "us-east-2",
      AWS_ENDPOINT_URL: other.endpoint,
      AWS_ENDPOINT_URL_KMS: other.endpoint,
      AWS_PROFILE: "nobody",
      AWS_MAX_ATTEMPTS: "9",
    };
    const before = Object.keys(planted).map((name) => [name, process.env[name]] as const);
    try {
      Object.assign(process.env, planted);
      using client = stub.client(patient);
      using _plaintext = (await client.decrypt(blob, {})).plaintext;
    } finally {
      for (const [name, value] of before)
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
    }
    assert.equal(other.requests.length, 0);
    const { authorization, "x-amz-security-token": token } = stub.requests[0]?.headers ?? {};
    assert.match(
      String(authorization),
      /^AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE123456789\/\d{8}\/eu-west-1\/kms\/aws4_request, /,
    );
    assert.equal(token, undefined);
  });

  it("sends and shows its secret nowhere, and answers nothing once it is closed", async () => {
    await using stub = await KmsStub.start(json(dataKey(32)));
    const client = stub.client(patient);
    using _plaintext = (await client.decrypt(blob, {})).plaintext;
    assert.ok(!JSON.stringify(stub.requests).includes(plantedSecret));
    assert.ok(!inspect(client, { depth: 9, showHidden: true }).includes(plantedSecret));
    client[Symbol.dispose]();
    await assert.rejects(client.decrypt(blob, {}), { code: "KMS_UNREACHABLE" });
  });
});
