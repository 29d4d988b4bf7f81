import { createHash, createHmac } from "node:crypto";

/** An access key of the tests; the secret is AWS' published example. */
export const exampleKey = {
  id: "AKIAIOSFODNN7EXAMPLE",
  secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
} as const;

export interface RequestToSign {
  readonly target?: string;
  readonly body?: string | Buffer;
  /** In place of, or beside, the headers that are sent anyway; undefined leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Sent, but left out of SignedHeaders. */
  readonly unsigned?: readonly string[];
  readonly key?: { readonly id: string; readonly secret: string };
  readonly atMs?: number;
  readonly region?: string;
  readonly service?: string;
  readonly terminator?: string;
  readonly day?: string;
  readonly method?: string;
  readonly url?: string;
}

export interface SignedRequest {
  readonly method: string;
  readonly url: string;
  /** Names and values, Authorization last. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

/** 2026-03-04T05:06:07Z. */
export const signedAtMs: number = Date.UTC(2026, 2, 4, 5, 6, 7);

/** Signs a request to `POST /` as an AWS client does; written apart from the product's own code. */
export function sign(options: RequestToSign = {}): SignedRequest {
  const body = Buffer.from(options.body ?? "{}");
  const atMs = options.atMs ?? signedAtMs;
  const date = `${new Date(atMs).toISOString().slice(0, 19).replaceAll("-", "").replaceAll(":", "")}Z`;
  const key = options.key ?? exampleKey;
  const wanted: Record<string, string | undefined> = {
    host: "127.0.0.1",
    "content-type": "application/x-amz-json-1.1",
    "x-amz-date": date,
    "x-amz-target": `TrentService.${options.target ?? "Echo"}`,
    ...options.headers,
  };
  const headers = Object.entries(wanted).filter((each): each is [string, string] => each[1] !== undefined);
  const signed = headers.filter(([name]) => !options.unsigned?.includes(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  const names = signed.map(([name]) => name).join(";");
  const bodyHash = createHash("sha256").update(body).digest("hex");
  const { method = "POST", url = "/" } = options;
  const canonical = `${method}\n${url}\n\n${signed.map(([name, value]) => `${name}:${value}\n`).join("")}\n${names}\n${bodyHash}`;
  const { region = "cn-local-1", service = "kms", terminator = "aws4_request" } = options;
  const scope = [options.day ?? date.slice(0, 8), region, service, terminator];
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope.join("/")}\n${createHash("sha256").update(canonical, "latin1").digest("hex")}`;
  const hmac = (secret: string | Buffer, data: string) => createHmac("sha256", secret).update(data).digest();
  const signature = hmac(scope.reduce<string | Buffer>(hmac, `AWS4${key.secret}`) as Buffer, text).toString("hex");
  const credential = `${key.id}/${scope.join("/")}`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
  return { method, url, headers: [...headers, ["authorization", authorization]], body };
}

/** The same request with one header's value changed. */
export function withHeader(request: SignedRequest, name: string, change: (value: string) => string): SignedRequest {
  return {
    ...request,
    headers: request.headers.map(([each, value]) => [each, each === name ? change(value) : value] as const),
  };
}

/** The request's bytes over HTTP/1.1. */
export function wire({ method, url, headers, body }: SignedRequest): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const length = headers.some(([name]) => name === "transfer-encoding") ? "" : `content-length: ${body.length}\r\n`;
  return Buffer.concat([Buffer.from(`${method} ${url} HTTP/1.1\r\n${lines}${length}\r\n`, "latin1"), body]);
}

/** Headers as Node gives them. */
export function rawHeadersOf(request: SignedRequest): string[] {
  return request.headers.flat();
}
