import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  CreateGrantCommand,
  CreateKeyCommand,
  DecryptCommand,
  DisableKeyCommand,
  EncryptCommand,
  GetKeyPolicyCommand,
  KMSClient,
  KMSServiceException,
  PutKeyPolicyCommand,
  RevokeGrantCommand,
} from "@aws-sdk/client-kms";
import { reservePorts } from "../../reserved-ports.ts";
import { scaled } from "../../run-settings.ts";
import { KeyManagerFolder } from "../running-server.ts";
import { Clients, type Ending, momentOfReturn } from "./clients.ts";
import { LastingServer } from "./fixed-ports.ts";

const clientCount = 50;
const refusals = Math.max(clientCount, scaled(1000));

interface User {
  readonly name: string;
  readonly arn: string;
  readonly accessKeyId: string;
  readonly client: KMSClient;
}

/** A user with a grant on a key of its own. */
interface Subject extends User {
  readonly keyId: string;
  readonly grantId: string;
}

interface Way {
  readonly name: string;
  readonly cutOff: (subject: Subject, admin: KMSClient, server: LastingServer) => Promise<unknown>;
  /** What the user is answered. */
  readonly type: string;
  /** What the audit record says. */
  readonly onRecord: string;
  /** Of requests whose signature had been checked when the call returned. */
  readonly onRecordInFlight?: string;
}

const ways: readonly Way[] = [
  {
    name: "DisableKey",
    cutOff: ({ keyId }, admin) => admin.send(new DisableKeyCommand({ KeyId: keyId })),
    type: "DisabledException",
    onRecord: "kms:Decrypt KEY_DISABLED",
  },
  {
    name: "PutKeyPolicy",
    async cutOff({ keyId, arn }, admin) {
      const { Policy = "" } = await admin.send(new GetKeyPolicyCommand({ KeyId: keyId }));
      const policy = JSON.parse(Policy);
      const deny = { Sid: "CutOff", Effect: "Deny", Principal: { AWS: arn }, Action: "kms:Decrypt", Resource: "*" };
      const next = JSON.stringify({ ...policy, Statement: [policy.Statement, deny].flat() });
      await admin.send(new PutKeyPolicyCommand({ KeyId: keyId, Policy: next }));
    },
    type: "AccessDeniedException",
    onRecord: "kms:Decrypt ACCESS_DENIED explicit-deny",
  },
  {
    name: "RevokeGrant",
    cutOff: ({ keyId, grantId }, admin) => admin.send(new RevokeGrantCommand({ KeyId: keyId, GrantId: grantId })),
    type: "AccessDeniedException",
    onRecord: "kms:Decrypt ACCESS_DENIED nothing-allows",
  },
  {
    name: "disabling the access key",
    cutOff: ({ accessKeyId }, _admin, server) => server.now.admin.accessKeys.setState(accessKeyId, "disabled"),
    type: "UnrecognizedClientException",
    onRecord: "strongroom:Authenticate ACCESS_DENIED access-key-disabled",
    onRecordInFlight: "kms:Decrypt ACCESS_DENIED access-key-disabled",
  },
  {
    name: "disabling the user",
    cutOff: ({ name }, _admin, server) => server.now.admin.principals.disable(name),
    type: "UnrecognizedClientException",
    onRecord: "strongroom:Authenticate ACCESS_DENIED principal-disabled",
    onRecordInFlight: "kms:Decrypt ACCESS_DENIED principal-disabled",
  },
];

describe(`${clientCount} AWS clients of a user that decrypt in a loop`, () => {
  let folder: KeyManagerFolder;
  let server: LastingServer;
  let port: number;
  let admin: User;
  const clients: KMSClient[] = [];

  before(async () => {
    folder = await KeyManagerFolder.make();
    const [native = 0, aws = 0] = await reservePorts(2);
    port = aws;
    server = await LastingServer.start(folder, ["--native", `127.0.0.1:${native}`, "--aws", `127.0.0.1:${aws}`]);
    admin = await user("adam", "administrator");
  });
  after(async () => {
    for (const client of clients) client.destroy();
    await server[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  async function user(name: string, role: "administrator" | "none"): Promise<User> {
    const { arn } = await server.now.admin.users.create({ name, role });
    const { id, secret } = await server.now.admin.accessKeys.create(name);
    using shown = secret;
    const secretAccessKey = shown.expose((bytes) => Buffer.from(bytes).toString());
    const credentials = { accessKeyId: id, secretAccessKey };
    const endpoint = `http://127.0.0.1:${port}`;
    const requestHandler = { httpAgent: { maxSockets: 256 } };
    const client = new KMSClient({ endpoint, region: "local", credentials, maxAttempts: 1, requestHandler });
    clients.push(client);
    return { name, arn, accessKeyId: id, client };
  }

  async function subject(name: string) {
    const { KeyMetadata } = await admin.client.send(new CreateKeyCommand({}));
    const keyId = KeyMetadata?.KeyId ?? "";
    const made = await user(name, "none");
    const Operations = ["Encrypt", "Decrypt"] as const;
    const { GrantId: grantId = "" } = await admin.client.send(
      new CreateGrantCommand({ KeyId: keyId, GranteePrincipal: made.arn, Operations: [...Operations] }),
    );
    const EncryptionContext = { node: name };
    const { CiphertextBlob } = await made.client.send(
      new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.from("a node's data key"), EncryptionContext }),
    );
    /** Names of the errors that the user's requests ended with. */
    const types = new Set<string>();
    const decrypt = async (): Promise<Ending> => {
      try {
        await made.client.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }));
        return "through";
      } catch (error) {
        if (!(error instanceof KMSServiceException) || error.$metadata.httpStatusCode === undefined)
          return "unreachable";
        types.add(error.name);
        return "refused";
      }
    };
    return { ...made, keyId, grantId, decrypt, types };
  }

  async function checkRecords({ arn }: Subject, { onRecord, onRecordInFlight }: Way) {
    const { records } = await server.now.admin.audit.search({ principal: arn, denied: true, limit: 1000 });
    const told = records.map(({ action, error, detail: { deniedBy = "" } }) => `${action} ${error} ${deniedBy}`.trim());
    assert.ok(told.includes(onRecord), told[0] ?? "no record");
    const others = told.filter((each) => each !== onRecord && each !== onRecordInFlight);
    assert.deepEqual(others, []);
  }

  /** The type that the way brings; a caller that nobody knows any more is throttled when it keeps coming. */
  function checkTypes(types: ReadonlySet<string>, { type, onRecordInFlight }: Way) {
    assert.ok(types.has(type), [...types].join());
    const stranger = onRecordInFlight === undefined ? [] : ["ThrottlingException", "AccessDeniedException"];
    assert.deepEqual(
      [...types].filter((each) => each !== type && !stranger.includes(each)),
      [],
    );
  }

  for (const [index, way] of ways.entries()) {
    it(`get nothing that they ask for after ${way.name} has returned`, async () => {
      const made = await subject(`user-${index}`);
      await using load = new Clients(clientCount, made.decrypt);
      await load.allThrough();
      const momentMs = await momentOfReturn(() => way.cutOff(made, admin.client, server));
      const endings = await load.after(momentMs, refusals);
      assert.deepEqual([endings.through, endings.unreachable], [0, 0]);
      checkTypes(made.types, way);
      await checkRecords(made, way);
    });

    it(`get nothing either from a server that was killed when ${way.name} returned and started again`, async () => {
      const made = await subject(`user-killed-${index}`);
      await using load = new Clients(clientCount, made.decrypt);
      await load.allThrough();
      const momentMs = await momentOfReturn(() => way.cutOff(made, admin.client, server));
      await server.killAndStart();
      const startedMs = performance.now();
      await load.after(startedMs, refusals);
      assert.equal((await load.after(momentMs, refusals)).through, 0);
      checkTypes(made.types, way);
      await checkRecords(made, way);
    });
  }

  it("are refused from the return of DisableKey on while 200 of their requests are in flight", async () => {
    const made = await subject("user-in-flight");
    const inFlight = 200;
    const wave = () => Array.from({ length: inFlight }, () => made.decrypt());
    assert.ok((await Promise.all(wave())).every((ending) => ending === "through"));
    const before = wave();
    await admin.client.send(new DisableKeyCommand({ KeyId: made.keyId }));
    const later = await Promise.all(wave());
    assert.deepEqual([...new Set(later)], ["refused"]);
    // Those that were under way ended one way or the other, and none was lost.
    assert.ok((await Promise.all(before)).every((ending) => ending === "through" || ending === "refused"));
    assert.deepEqual([...made.types], ["DisabledException"]);
  });
});
