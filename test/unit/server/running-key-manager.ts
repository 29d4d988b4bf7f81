import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyManagerClient } from "../../../src/client/client.ts";
import { type Enrolment, enroll } from "../../../src/client/enroll.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../../../src/custody/open.ts";
import type { CustodyService } from "../../../src/custody/service.ts";
import { Authority } from "../../../src/server/authority.ts";
import { Metrics } from "../../../src/server/observe.ts";
import { type RunningServer, startServer } from "../../../src/server/server.ts";

/** A real key manager in a folder of its own, with its doors open on loopback, for tests. */
export interface RunningKeyManager extends AsyncDisposable {
  readonly custody: CustodyService;
  readonly server: RunningServer;
  readonly authority: Authority;
  readonly metrics: Metrics;
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  readonly log: string[];
  /** What the server takes for now; tests move it. */
  readonly clock: { offsetMs: number };
  /** Over the administration socket. */
  readonly admin: KeyManagerClient;
  /** A token for a node, with a grant on the key when one is named. */
  tokenFor(name: string, key?: string): Promise<SecretBuffer>;
  enrolled(name: string, key?: string): Promise<Enrolment>;
  clientOf(enrolment: Enrolment): KeyManagerClient;
}

export async function startKeyManager(): Promise<RunningKeyManager> {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-server-"));
  const dataDir = join(folder, "km");
  const clock = { offsetMs: 0 };
  const now = () => Date.now() + clock.offsetMs;
  using unlock = SecretBuffer.random(32);
  await initCustody({ dataDir, unlock, slotKind: "key-file" });
  const custody = await openCustody({ dataDir, unlock, clock: now });
  const log: string[] = [];
  const metrics = new Metrics();
  const server = await startServer(custody, {
    dataDir,
    native: { host: "127.0.0.1", port: 0 },
    metrics: { host: "127.0.0.1", port: 0 },
    observer: metrics,
    log: (line) => log.push(line),
    clock: now,
  });
  const authority = await Authority.open(custody, now);
  const admin = KeyManagerClient.overSocket(server.addresses.socket);
  const url = `https://${server.addresses.native}`;
  const tokenFor = async (name: string, key?: string) =>
    (await admin.nodes.createToken({ name, identity: "file", ...(key === undefined ? {} : { key }) })).token;
  return {
    custody,
    server,
    authority,
    metrics,
    url,
    log,
    clock,
    admin,
    tokenFor,
    async enrolled(name, key) {
      using token = await tokenFor(name, key);
      return enroll({ servers: [url], token });
    },
    clientOf: ({ caPem, certificatePem, privateKeyPem }) =>
      KeyManagerClient.overTls({ servers: [url], caPem, identity: { certificatePem, privateKeyPem } }),
    async [Symbol.asyncDispose]() {
      admin.close();
      await server.close();
      await custody.close();
      rmSync(folder, { recursive: true });
    },
  };
}

export interface RawReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string | Buffer };
}

/** One request on a connection of its own, without any of the client's care. */
export function rawRequest(url: string, caPem: string, raw: RawRequest): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const chunked = raw.headers?.["transfer-encoding"] !== undefined;
    const length = raw.body === undefined || chunked ? {} : { "content-length": Buffer.byteLength(raw.body) };
    const sent = request({
      hostname,
      port,
      ca: caPem,
      agent: false,
      method: raw.method ?? "POST",
      path: raw.path,
      headers: { "content-type": "application/json", ...length, ...raw.headers },
      ...raw.certificate,
    });
    sent.on("error", reject);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.end(raw.body);
  });
}

/** The certificate and key of an enrolment as Node's TLS takes them; tests need no wiping. */
export function certificateOf(enrolment: Enrolment): { cert: string; key: Buffer } {
  return { cert: enrolment.certificatePem, key: enrolment.privateKeyPem.expose((pem) => Buffer.from(pem)) };
}

/** The `error` of a refusal. */
export function errorOf(reply: RawReply): { code: string; message: string; path?: string } {
  return JSON.parse(reply.body.toString()).error;
}
