import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { RequestSigner, type SignableRequest } from "../../../../src/devices/aws-kms/signer.ts";

const apiKey = "AKIAEXAMPLE123456789";
const secretText = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

const newSigner = () => new RequestSigner(apiKey, "eu-west-1", SecretBuffer.take(Buffer.from(secretText)));

describe("signer of requests to a KMS", () => {
  it("signs what AWS's algorithm signs (worked out with Python's hmac and hashlib)", async () => {
    const request: SignableRequest = {
      method: "POST",
      path: "/",
      query: {},
      headers: {
        host: "kms.eu-west-1.amazonaws.com",
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "TrentService.ListKeys",
        "user-agent": "changes on the way",
      },
      body: "{}",
    };
    const { headers } = await newSigner().sign(request, { signingDate: new Date("2026-11-21T08:00:00Z") });
    assert.equal(
      headers.authorization,
      `AWS4-HMAC-SHA256 Credential=${apiKey}/20261121/eu-west-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target, Signature=2ec0aecb84aba453d2acabb81838a052d2a7e33adb9b2c5e3515b591fa7cc2be`,
    );
  });

  for (const [what, wrong] of [
    ["another method", { method: "GET" }],
    ["another path", { path: "/x" }],
    ["a query", { query: { a: "b" } }],
    ["a body that is a stream", { body: new ReadableStream() }],
    ["no body", { body: undefined }],
  ] as const)
    it(`refuses to sign ${what}`, async () => {
      const request = { method: "POST", path: "/", query: {}, headers: { host: "h" }, body: "{}", ...wrong };
      assert.throws(() => newSigner().sign(request), TypeError);
    });
});
