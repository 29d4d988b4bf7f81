import type { AddressInfo } from "node:net";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { Caller, CustodyService, PrincipalDescription } from "../../../../src/custody/service.ts";
import { Authority } from "../../../../src/server/authority.ts";
import { AwsDoor, type AwsRate } from "../../../../src/server/aws/door.ts";
import { AwsError } from "../../../../src/server/aws/errors.ts";
import type { AwsOperation } from "../../../../src/server/aws/operation.ts";
import { listen } from "../../../../src/server/listener.ts";
import { Metrics } from "../../../../src/server/observe.ts";
import { rawExchange } from "../../../fisco-stand-in/raw-exchange.ts";
import { exampleKey, type SignedRequest, signedAtMs, wire } from "./signed-request.ts";

/** The door over a custody and operations that are fake and say so, on a port of loopback. */
export interface RunningDoor extends AsyncDisposable {
  readonly port: number;
  readonly authority: Authority;
  /** What the fake custody was told. */
  readonly counted: string[];
  readonly recorded: string[];
  readonly callers: Caller[];
  /** Secrets that went through an operation. */
  readonly secrets: SecretBuffer[];
  readonly unexpected: string[];
  readonly metrics: Metrics;
  /** Enabled access keys, by id. */
  readonly users: Map<
    string,
    { readonly principal: PrincipalDescription; readonly secret: SecretBuffer; version: number }
  >;
  send(request: SignedRequest): Promise<Reply>;
}

export interface Reply {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export function userNamed(name: string): PrincipalDescription {
  const arn = `arn:aws:iam::123456789012:user/${name}`;
  const createdAt = "2026-01-01T00:00:00.000Z";
  return { name, arn, kind: "user", role: "key-user", state: "enabled", identity: null, publicKeys: [], createdAt };
}

export async function startDoor(options: { readonly rate?: AwsRate } = {}): Promise<RunningDoor> {
  const door: Pick<RunningDoor, "counted" | "recorded" | "callers" | "secrets" | "unexpected" | "users"> = {
    counted: [],
    recorded: [],
    callers: [],
    secrets: [],
    unexpected: [],
    users: new Map([
      [
        exampleKey.id,
        { principal: userNamed("alice"), secret: SecretBuffer.copyOf(Buffer.from(exampleKey.secret)), version: 1 },
      ],
    ]),
  };
  const kept = new Map<string, SecretBuffer | Buffer>();
  const fakeCustody = {
    identity: { account: "123456789012", region: "cn-local-1", localAdministrator: "arn:aws:iam::123456789012:root" },
    countRefusal: (_door: string, peer: string, reason: string) => void door.counted.push(`${peer} ${reason}`),
    recordRefused: async (caller: Caller, action: string, code: string) =>
      void door.recorded.push(`${caller.principal} ${action} ${code}`),
    secrets: {
      read: async (name: string) => (kept.get(name) as SecretBuffer | undefined)?.clone(),
      write: async (_caller: Caller, name: string, secret: SecretBuffer) => void kept.set(name, secret.clone()),
      readPublic: async (name: string) => kept.get(`public ${name}`),
      writePublic: async (_caller: Caller, name: string, value: Buffer) => void kept.set(`public ${name}`, value),
    },
  } as unknown as CustodyService;
  const fakeOperations: Record<string, AwsOperation["run"]> = {
    Echo: async (_call, input) => ({ Echo: JSON.stringify(input) }),
    Seal: async (_call, input) => {
      const secret = (input as { Plaintext?: SecretBuffer }).Plaintext;
      if (secret === undefined) throw new AwsError("ValidationException", "Plaintext is required.");
      const answer = secret.clone();
      door.secrets.push(secret, answer);
      return { Plaintext: answer, CiphertextBlob: Buffer.from("blob"), Absent: undefined };
    },
    Empty: async () => undefined,
    Break: async () => {
      throw new Error("a fault that nobody foresaw");
    },
  };
  const metrics = new Metrics();
  const authority = await Authority.open(fakeCustody);
  const aws = new AwsDoor({
    custody: fakeCustody,
    accessKeys: { ofAccessKey: (id) => door.users.get(id), endedAccessKey: () => undefined },
    metrics,
    operations(name) {
      const run = fakeOperations[name];
      if (run === undefined) return undefined;
      return {
        name,
        secretMembers: ["Plaintext"],
        run: (call, input) => {
          door.callers.push(call.caller);
          return run(call, input);
        },
      };
    },
    clock: () => signedAtMs,
    onUnexpected: (error) => void door.unexpected.push(String(error)),
    closing: () => false,
    ...options,
  });
  const certificate = await authority.issueServerCertificate(["127.0.0.1"]);
  const server = aws.server(certificate);
  await listen(server, "aws", { host: "127.0.0.1", port: 0 });
  const { port } = server.address() as AddressInfo;
  return {
    ...door,
    port,
    authority,
    metrics,
    send: async (request) => replyOf(await rawExchange(port, wire(request))),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await aws.close(server);
    },
  };
}

/** Takes one answer apart. */
export function replyOf(text: string): Reply {
  const [head = "", body = ""] = text.split("\r\n\r\n");
  const [line = "", ...fields] = head.split("\r\n");
  const headers = fields.map((field) => field.split(": ") as [string, string]);
  return {
    status: Number(line.split(" ")[1]),
    headers: new Map(headers.map(([name, value]) => [name.toLowerCase(), value])),
    body,
  };
}
