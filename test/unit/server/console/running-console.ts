import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyManagerClient } from "../../../../src/client/client.ts";
import { enroll } from "../../../../src/client/enroll.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../../../../src/custody/open.ts";
import type { AuditRecord, CustodyService } from "../../../../src/custody/service.ts";
import type { IntegrationStore } from "../../../../src/server/console/integrations.ts";
import { startServer } from "../../../../src/server/server.ts";
import { certificateOf, type RawReply, type RawRequest, rawRequest } from "../running-key-manager.ts";

/** What a signed-in page sends with its requests. */
export interface Signed {
  readonly cookie: string;
  readonly token: string;
  readonly certificate?: NonNullable<RawRequest["certificate"]>;
}

/** A real key manager with its console on loopback, over a page of the caller's, for tests without a browser. */
export interface RunningConsole extends AsyncDisposable {
  readonly custody: CustodyService;
  readonly admin: KeyManagerClient;
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  /** What the server takes for now; tests move it. */
  readonly clock: { offsetMs: number };
  readonly log: readonly string[];
  code(principal?: string): Promise<string>;
  /** A raw request; a method other than GET comes with the page's own origin unless headers say otherwise. */
  ask(request: RawRequest, signed?: Signed): Promise<RawReply>;
  signIn(code: string): Promise<Signed>;
  /** The client certificate of a user. */
  certificateFor(name: string): Promise<NonNullable<RawRequest["certificate"]>>;
  records(action: string): Promise<readonly AuditRecord[]>;
}

export async function startConsole(
  pageFolder: string,
  { integrations }: { readonly integrations?: IntegrationStore } = {},
): Promise<RunningConsole> {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-console-"));
  const dataDir = join(folder, "km");
  const clock = { offsetMs: 0 };
  const now = () => Date.now() + clock.offsetMs;
  using unlock = SecretBuffer.random(32);
  await initCustody({ dataDir, unlock, slotKind: "key-file" });
  const custody = await openCustody({ dataDir, unlock, clock: now });
  const log: string[] = [];
  const at = { host: "127.0.0.1", port: 0 };
  const server = await startServer(custody, {
    dataDir,
    native: at,
    console: { ...at, pageFolder, ...(integrations === undefined ? {} : { integrations }) },
    log: (line) => log.push(line),
    clock: now,
  });
  const admin = KeyManagerClient.overSocket(server.addresses.socket);
  const url = `https://${server.addresses.console}`;
  // The server's issuer, as an enrolling node learns it.
  await admin.principals.create({ name: "first", kind: "user", role: "auditor" });
  const enrolled = async (name: string) => {
    using token = (await admin.nodes.createToken({ name, identity: "file" })).token;
    return await enroll({ servers: [`https://${server.addresses.native}`], token });
  };
  const { caPem } = await enrolled("first");
  const ask: RunningConsole["ask"] = (request, signed) => {
    const method = request.method ?? "GET";
    const certificate = request.certificate ?? signed?.certificate;
    return rawRequest(url, caPem, {
      ...request,
      method,
      headers: {
        ...(method === "GET" ? {} : { origin: url }),
        ...(signed === undefined ? {} : { cookie: signed.cookie, "strongroom-csrf": signed.token }),
        ...request.headers,
      },
      ...(certificate === undefined ? {} : { certificate }),
    });
  };
  return {
    custody,
    admin,
    url,
    clock,
    log,
    async code(principal) {
      const { code } = await admin.console.createCode(principal);
      using secret = code;
      return secret.expose((bytes) => bytes.toString("ascii"));
    },
    ask,
    signIn: async (code) => signedBy(await ask({ method: "POST", path: "/api/sign-in/code", body: code })),
    certificateFor: async (name) => certificateOf(await enrolled(name)),
    async records(action) {
      const page = await custody.audit.search(
        { principal: custody.identity.localAdministrator, door: "local", peer: "test", requestId: "test" },
        { action, order: "newest", limit: 100 },
      );
      return page.records;
    },
    async [Symbol.asyncDispose]() {
      admin.close();
      await server.close();
      await custody.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** The cookie and token of an answer to a sign-in that succeeded. */
export function signedBy(reply: RawReply): Signed {
  const cookie = reply.headers["set-cookie"]?.[0]?.split(";")[0];
  const { csrfToken } = JSON.parse(reply.body.toString());
  if (cookie === undefined || typeof csrfToken !== "string") throw new Error(reply.body.toString());
  return { cookie, token: csrfToken };
}

/** The code of a refusal. */
export function codeOf(reply: RawReply): string {
  return JSON.parse(reply.body.toString()).error?.code;
}
