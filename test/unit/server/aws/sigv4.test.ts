import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { PrincipalDescription } from "../../../../src/custody/service.ts";
import { parseAuthorization } from "../../../../src/server/aws/authorization-header.ts";
import {
  canonicalRequest,
  emptySha256,
  signatureOf,
  signingKey,
  stringToSign,
} from "../../../../src/server/aws/canonical-request.ts";
import { AwsError } from "../../../../src/server/aws/errors.ts";
import { type AccessKeys, EndedAccessKeyError, SignatureVerifier } from "../../../../src/server/aws/sigv4.ts";
import { loadVectors } from "../../crypto/load-vectors.ts";
import {
  exampleKey,
  type RequestToSign,
  rawHeadersOf,
  type SignedRequest,
  sign,
  signedAtMs,
  withHeader,
} from "./signed-request.ts";

interface Vector {
  readonly name: string;
  readonly source: string;
  readonly context: {
    readonly credentials: { readonly access_key_id: string; readonly secret_access_key: string };
    readonly normalize: boolean;
    readonly region: string;
    readonly service: string;
  };
  readonly canonical: string;
  readonly sts: string;
  readonly signature: string;
  readonly signed_request: string;
}

describe("Signature Version 4 over the published test suite", () => {
  for (const vector of loadVectors<Vector[]>("sigv4.json")) {
    it(`gives the canonical request, string to sign and signature of ${vector.name}`, () => {
      const [head = ""] = vector.signed_request.split("\n\n");
      const [line = "", ...fields] = head.split("\n");
      const [, method = "", url = ""] = /^(\S+) (.*) HTTP\/1\.1$/.exec(line) ?? [];
      const headers = fields.map((field): [string, string] => {
        const at = field.indexOf(":");
        return [field.slice(0, at), field.slice(at + 1)];
      });
      const value = (name: string) => headers.find(([each]) => each.toLowerCase() === name)?.[1];
      const authorization = parseAuthorization(value("authorization"));
      const { day, region, service, terminator, signedHeaders } = authorization;
      const [path = "", query = ""] = url.split("?");
      const bodySha256 = value("x-amz-content-sha256") ?? emptySha256;
      const canonical = canonicalRequest(
        { method, path, query, headers, signedHeaders, bodySha256 },
        { normalizePath: vector.context.normalize },
      );
      assert.equal(canonical, vector.canonical);
      const text = stringToSign(value("x-amz-date") ?? "", `${day}/${region}/${service}/${terminator}`, canonical);
      assert.equal(text, vector.sts);
      const secret = Buffer.from(vector.context.credentials.secret_access_key);
      const signature = signatureOf(signingKey(secret, day, region, service), text);
      assert.equal(signature.toString("hex"), vector.signature);
      assert.deepEqual(signature, authorization.signature);
    });
  }
});

const user: PrincipalDescription = {
  name: "alice",
  arn: "arn:aws:iam::123456789012:user/alice",
  kind: "user",
  role: "key-user",
  state: "enabled",
  identity: null,
  publicKeys: [],
  createdAt: "2026-01-01T00:00:00.000Z",
};

describe("the verifier of signatures", () => {
  let nowMs = signedAtMs;
  let version = 1;
  let ended = false;
  let asked: string[] = [];
  let secret: SecretBuffer;
  let verifier: SignatureVerifier;
  const accessKeys: AccessKeys = {
    ofAccessKey(id) {
      asked.push(id);
      return id === exampleKey.id && !ended ? { principal: user, secret, version } : undefined;
    },
    endedAccessKey: (id) => (id === exampleKey.id && ended ? { principal: user, secret, version } : undefined),
  };
  beforeEach(() => {
    nowMs = signedAtMs;
    version = 1;
    ended = false;
    asked = [];
    secret = SecretBuffer.take(Buffer.from(exampleKey.secret));
    verifier = new SignatureVerifier(accessKeys, { region: "cn-local-1", clock: () => nowMs });
  });
  afterEach(() => verifier[Symbol.dispose]());

  const check = (request: SignedRequest) => {
    const { method, url, body } = request;
    return verifier.verify(verifier.examine({ method, url, rawHeaders: rawHeadersOf(request) }), body);
  };
  const refuses = (request: SignedRequest, type: string, message: RegExp) =>
    assert.throws(
      () => check(request),
      (error: unknown) => {
        assert.ok(error instanceof AwsError);
        assert.equal(error.type, type);
        assert.match(error.text ?? "", message);
        assert.equal(error.status, 400);
        return true;
      },
    );
  const mismatch = /^The request signature we calculated does not match the signature you provided\. /;
  const refusesSignature = (request: SignedRequest, message: RegExp = mismatch) =>
    refuses(request, "InvalidSignatureException", message);

  it("knows the signer of a well-signed request", () => {
    assert.deepEqual(check(sign()), { principal: user, accessKeyId: exampleKey.id });
  });

  it("verifies the same request again, and one with the body's hash in a header", () => {
    const request = sign();
    check(request);
    check(request);
    const hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    check(sign({ headers: { "x-amz-content-sha256": hash } }));
  });

  it("refuses a request without an Authorization header", () => {
    const request = sign();
    const headers = request.headers.filter(([name]) => name !== "authorization");
    refuses({ ...request, headers }, "MissingAuthenticationTokenException", /^Missing Authentication Token$/);
  });

  for (const part of ["Credential", "SignedHeaders", "Signature"])
    it(`refuses an Authorization header without ${part}`, () => {
      const request = withHeader(sign(), "authorization", (value) => value.replace(new RegExp(`${part}=[^,]*`), ""));
      const message = new RegExp(
        `^Authorization header requires '${part}' parameter\\. .*Authorization=AWS4-HMAC-SHA256`,
      );
      refuses(request, "IncompleteSignatureException", message);
    });

  const malformed: readonly (readonly [string, (value: string) => string])[] = [
    ["of another algorithm", (value) => value.replace("SHA256", "SHA1")],
    ["of the asymmetric algorithm", (value) => value.replace("AWS4-HMAC", "AWS4-ECDSA-P256")],
    ["that names a part twice", (value) => `${value}, Signature=${"0".repeat(64)}`],
    ["with a part that is not known", (value) => `${value}, Extra=1`],
    ["whose credential has four elements", (value) => value.replace("/aws4_request", "")],
    ["whose credential has six elements", (value) => value.replace("/kms/", "/kms/kms/")],
    ["whose access key is empty", (value) => value.replace(exampleKey.id, "")],
    ["with an empty signature", (value) => value.replace(/Signature=.*/, "Signature=")],
  ];
  for (const [name, change] of malformed)
    it(`refuses an Authorization header ${name}`, () => {
      refuses(withHeader(sign(), "authorization", change), "IncompleteSignatureException", /Authorization=/);
    });

  it("refuses a signature in upper case, and one that is shorter or longer", () => {
    const signatures: readonly ((hex: string) => string)[] = [
      (hex) => hex.toUpperCase(),
      (hex) => hex.slice(2),
      (hex) => `${hex}00`,
    ];
    for (const change of signatures)
      refusesSignature(
        withHeader(sign(), "authorization", (value) =>
          value.replace(/(?<=Signature=).*/, (hex) => change(hex.replace(/^\d{2}/, "ab"))),
        ),
      );
  });

  it("refuses header names that are not sorted, not in lower case or named twice", () => {
    for (const change of [
      (value: string) => value.replace("content-type;host", "host;content-type"),
      (value: string) => value.replace("content-type;host", "Content-Type;host"),
      (value: string) => value.replace("content-type;host", "content-type;content-type;host"),
    ])
      refusesSignature(withHeader(sign(), "authorization", change));
  });

  const uncovered: readonly (readonly [string, RequestToSign])[] = [
    ["host", {}],
    ["x-amz-date", {}],
    ["x-amz-target", {}],
    ["content-type", {}],
    ["x-amz-content-sha256", { headers: { "x-amz-content-sha256": emptySha256 } }],
    ["x-amz-meta", { headers: { "x-amz-meta": "1" } }],
  ];
  for (const [name, options] of uncovered)
    it(`refuses a signature that does not cover ${name}`, () => {
      refusesSignature(sign({ ...options, unsigned: [name] }), new RegExp(`^'${name}' must be a 'SignedHeader'`));
    });

  it("refuses a request without a host or a target", () => {
    refusesSignature(sign({ headers: { host: undefined } }), /^'host' must be/);
    refusesSignature(sign({ headers: { "x-amz-target": undefined } }), /^'x-amz-target' must be/);
  });

  it("refuses a header that is signed but was not sent", () => {
    const request = sign({ headers: { "x-other": "1" } });
    refusesSignature({ ...request, headers: request.headers.filter(([name]) => name !== "x-other") });
  });

  it("refuses a header that is sent twice, in any case, even with the same value", () => {
    const request = sign();
    for (const [name, value] of request.headers)
      for (const again of [name, name.toUpperCase()])
        refusesSignature({ ...request, headers: [...request.headers, [again, value]] }, /given more than once/);
  });

  it("refuses another target, date, host or body than the one that was signed", () => {
    refusesSignature(withHeader(sign(), "x-amz-target", () => "TrentService.Decrypt"));
    refusesSignature(withHeader(sign(), "x-amz-date", (value) => value.replace("07Z", "08Z")));
    refusesSignature(withHeader(sign(), "host", () => "other"));
    refusesSignature({ ...sign(), body: Buffer.from("{} ") });
    refusesSignature({ ...sign(), method: "PUT" });
    refusesSignature({ ...sign(), url: "/?a" });
  });

  it("refuses bodies that are not signed or whose hash in the header is another", () => {
    const wrong = ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"];
    for (const value of [...wrong, emptySha256, emptySha256.toUpperCase(), ""])
      refusesSignature(sign({ headers: { "x-amz-content-sha256": value } }));
  });

  it("refuses authentication in the query, alone and beside the header", () => {
    const url = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00";
    refusesSignature(
      sign({ url }),
      /^Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header\.$/,
    );
    const request = sign({ url });
    const headers = request.headers.filter(([name]) => name !== "authorization");
    refuses({ ...request, headers }, "MissingAuthenticationTokenException", /^Missing Authentication Token$/);
  });

  it("refuses another region, service, terminator or day in the scope", () => {
    refusesSignature(sign({ region: "us-east-1" }), /^Credential should be scoped to a valid region\. $/);
    refusesSignature(sign({ service: "s3" }), /^Credential should be scoped to correct service: 'kms'\. $/);
    refusesSignature(sign({ terminator: "aws5_request" }), /^Credential should be scoped with a valid terminator/);
    refusesSignature(sign({ day: "20260303" }), /^Date in Credential scope does not match/);
  });

  it("takes a date up to 15 minutes back and 5 ahead, and no further", () => {
    const minuteMs = 60_000;
    check(sign({ atMs: signedAtMs - 15 * minuteMs }));
    check(sign({ atMs: signedAtMs + 5 * minuteMs }));
    refusesSignature(
      sign({ atMs: signedAtMs - 15 * minuteMs - 1000 }),
      /^Signature expired: 20260304T045106Z is now earlier than 20260304T045107Z \(20260304T050607Z - 15 min\.\)$/,
    );
    refusesSignature(
      sign({ atMs: signedAtMs + 5 * minuteMs + 1000 }),
      /^Signature not yet current: 20260304T051108Z is still later than 20260304T051107Z \(20260304T050607Z \+ 5 min\.\)$/,
    );
  });

  it("refuses a request that is replayed after its time", () => {
    const request = sign();
    check(request);
    nowMs += 16 * 60_000;
    refusesSignature(request, /^Signature expired/);
  });

  it("refuses a date that is none, or is missing", () => {
    for (const date of [
      "20260231T000000Z",
      "2026-03-04T05:06:07Z",
      "20260304T050607",
      "20260304T250607Z",
      "",
      undefined,
    ])
      refuses(
        sign({ headers: { "x-amz-date": date } }),
        "IncompleteSignatureException",
        /requires existence of a 'X-Amz-Date'/,
      );
  });

  const unknown = /^The security token included in the request is invalid\.$/;

  it("refuses a session token", () => {
    refuses(sign({ headers: { "x-amz-security-token": "AQoD" } }), "UnrecognizedClientException", unknown);
  });

  it("refuses an access key that nobody has, whatever its signature", () => {
    for (const key of [
      { id: "AKIAUNKNOWN", secret: exampleKey.secret },
      { id: exampleKey.id.toLowerCase(), secret: "" },
    ])
      refuses(sign({ key }), "UnrecognizedClientException", unknown);
  });

  it("refuses another secret of a known access key", () => {
    refusesSignature(sign({ key: { id: exampleKey.id, secret: `${exampleKey.secret}x` } }));
    refusesSignature(sign({ key: { id: exampleKey.id, secret: "" } }));
  });

  it("asks for the access key at each request, so that one that was disabled is refused at once", () => {
    const request = sign();
    check(request);
    check(request);
    assert.deepEqual(asked, [exampleKey.id, exampleKey.id]);
  });

  it("tells a good signature with an ended access key from others by its class alone", () => {
    const wrong = { id: exampleKey.id, secret: "another secret of forty characters......" };
    const thrown = (request: SignedRequest) => {
      try {
        check(request);
      } catch (error) {
        assert.ok(error instanceof AwsError);
        return error;
      }
      return assert.fail("a request with an ended access key passed");
    };
    check(sign());
    ended = true;
    const [fits, misses, nobodys] = [sign(), sign({ key: wrong }), sign({ key: { ...wrong, id: "AKIAUNKNOWN" } })].map(
      thrown,
    );
    for (const error of [fits, misses, nobodys]) {
      assert.deepEqual([error?.type, error?.status], ["UnrecognizedClientException", 400]);
      assert.match(error?.text ?? "", unknown);
    }
    assert.ok(fits instanceof EndedAccessKeyError);
    assert.equal(fits.accessKeyId, exampleKey.id);
    assert.equal(misses instanceof EndedAccessKeyError, false);
    assert.equal(nobodys instanceof EndedAccessKeyError, false);
  });

  it("forgets what was derived from a secret that was rotated", () => {
    check(sign());
    version = 2;
    secret = SecretBuffer.take(Buffer.from("another secret of forty characters......"));
    refusesSignature(sign());
    check(sign({ key: { id: exampleKey.id, secret: "another secret of forty characters......" } }));
  });
});
