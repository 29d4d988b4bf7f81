import { hash } from "node:crypto";
import type { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import {
  canonicalRequest,
  scopeTerminator,
  signatureOf,
  signingAlgorithm,
  signingKey,
  stringToSign,
} from "../../src/server/aws/canonical-request.ts";

export interface RequestToSign {
  /** `Encrypt`. */
  readonly operation: string;
  readonly input: unknown;
  /** `HOST:PORT`. */
  readonly host: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secret: SecretBuffer;
}

/** A whole HTTP request with an AWS signature of now: good for 15 minutes, as often as it is sent. */
export function signedRequest({ operation, input, host, region, accessKeyId, secret }: RequestToSign): Buffer {
  const body = Buffer.from(JSON.stringify(input));
  const date = `${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
  const day = date.slice(0, 8);
  const bodySha256 = hash("sha256", body);
  // As the SDK sends them.
  const headers: [name: string, value: string][] = [
    ["content-type", "application/x-amz-json-1.1"],
    ["host", host],
    ["x-amz-content-sha256", bodySha256],
    ["x-amz-date", date],
    ["x-amz-target", `TrentService.${operation}`],
    ["x-amz-user-agent", "aws-sdk-js/3.1162.0"],
  ];
  const signedHeaders = headers.map(([name]) => name);
  const canonical = canonicalRequest({ method: "POST", path: "/", query: "", headers, signedHeaders, bodySha256 });
  const scope = `${day}/${region}/kms/${scopeTerminator}`;
  const key = secret.expose((bytes) => signingKey(bytes, day, region, "kms"));
  const signature = signatureOf(key, stringToSign(date, scope, canonical)).toString("hex");
  key.fill(0);
  const authorization = `${signingAlgorithm} Credential=${accessKeyId}/${scope}, SignedHeaders=${signedHeaders.join(";")}, Signature=${signature}`;
  const head = [
    "POST / HTTP/1.1",
    ...headers.map(([name, value]) => `${name}: ${value}`),
    `authorization: ${authorization}`,
    `user-agent: aws-sdk-js/3.1162.0 ua/2.1 os/linux lang/js md/nodejs#26.10.0 api/kms#3.1162.0`,
    `content-length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}
