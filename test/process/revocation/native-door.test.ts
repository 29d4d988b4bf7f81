import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { KeyManagerClient } from "../../../src/client/client.ts";
import { ClientError } from "../../../src/client/errors.ts";
import { reservePort } from "../../reserved-ports.ts";
import { scaled } from "../../run-settings.ts";
import { KeyManagerFolder } from "../running-server.ts";
import { Clients, type Ending, momentOfReturn } from "./clients.ts";
import { LastingServer } from "./fixed-ports.ts";

const clientCount = 50;
const refusals = Math.max(clientCount, scaled(1000));

/** A node with a grant on a key of its own, and what it unwraps. */
interface Subject {
  readonly name: string;
  readonly arn: string;
  readonly keyId: string;
  readonly grantId: string;
}

/** What the audit record of a refused request says. */
interface OnRecord {
  readonly action: string;
  readonly error: string;
  readonly deniedBy?: string;
  readonly statement?: string;
}

interface Way {
  readonly name: string;
  readonly cutOff: (admin: KeyManagerClient, subject: Subject) => Promise<unknown>;
  readonly onRecord: OnRecord;
  /** Of requests that had been let in when the call returned, and were decided after it. */
  readonly onRecordInFlight?: OnRecord;
}

const authenticate = { action: "strongroom:Authenticate", error: "ACCESS_DENIED" };
const unwrapOfDisabled = { action: "kms:Decrypt", error: "ACCESS_DENIED", deniedBy: "principal-disabled" };
const ways: readonly Way[] = [
  {
    name: "the key is disabled",
    cutOff: (admin, { keyId }) => admin.keys.disable(keyId),
    onRecord: { action: "kms:Decrypt", error: "KEY_DISABLED" },
  },
  {
    name: "the key policy denies it",
    async cutOff(admin, { keyId, arn }) {
      const policy = JSON.parse(await admin.policies.get(keyId));
      const deny = { Sid: "CutOff", Effect: "Deny", Principal: { AWS: arn }, Action: "kms:Decrypt", Resource: "*" };
      await admin.policies.put(keyId, JSON.stringify({ ...policy, Statement: [policy.Statement, deny].flat() }));
    },
    onRecord: { action: "kms:Decrypt", error: "ACCESS_DENIED", deniedBy: "explicit-deny", statement: "CutOff" },
  },
  {
    name: "its grant is revoked",
    cutOff: (admin, { keyId, grantId }) => admin.grants.revoke(keyId, grantId),
    onRecord: { action: "kms:Decrypt", error: "ACCESS_DENIED", deniedBy: "nothing-allows" },
  },
  {
    name: "its principal is disabled",
    cutOff: (admin, { name }) => admin.principals.disable(name),
    onRecord: { ...authenticate, deniedBy: "principal-disabled" },
    onRecordInFlight: unwrapOfDisabled,
  },
  {
    name: "its certificate is revoked",
    cutOff: (admin, { name }) => admin.nodes.revoke(name),
    onRecord: { ...authenticate, deniedBy: "certificate-revoked" },
    onRecordInFlight: unwrapOfDisabled,
  },
];

describe(`a node with ${clientCount} clients that unwrap in a loop, once`, () => {
  let folder: KeyManagerFolder;
  let server: LastingServer;
  before(async () => {
    folder = await KeyManagerFolder.make();
    const port = await reservePort();
    server = await LastingServer.start(folder, ["--native", `127.0.0.1:${port}`]);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  async function subject(name: string) {
    const { admin } = server.now;
    const { keyId } = await admin.keys.create({});
    const enrolment = await server.now.enrol(name, keyId);
    const [grant] = await admin.grants.list(keyId);
    assert.ok(grant);
    const context = { node: name };
    const clients = Array.from({ length: clientCount }, () => server.now.clientOf(enrolment));
    const { wrapped } = await (clients[0] as KeyManagerClient).generateDataKey({ key: keyId, context });
    const unwrap = async (client: number): Promise<Ending> => {
      try {
        const { plaintext } = await (clients[client] as KeyManagerClient).unwrap({ wrapped, context });
        plaintext[Symbol.dispose]();
        return "through";
      } catch (error) {
        if (error instanceof ClientError && error.code === "REFUSED") return "refused";
        if (error instanceof ClientError && error.code === "UNREACHABLE") return "unreachable";
        throw error;
      }
    };
    const end = () => {
      for (const client of clients) client.close();
    };
    return { name, arn: enrolment.principal, keyId, grantId: grant.id, unwrap, end };
  }

  /** The refusals of a node tell the administrator what cut it off. */
  async function checkRecords({ name }: Subject, { onRecord, onRecordInFlight }: Way) {
    const { records } = await server.now.admin.audit.search({
      principal: `node/${name}`,
      denied: true,
      limit: 1000,
    });
    const told = records.map(({ action, error, detail: { deniedBy, statement } }) =>
      JSON.stringify({ action, error, deniedBy, statement }),
    );
    const expected = JSON.stringify(onRecord);
    assert.ok(told.includes(expected), String(told[0]));
    const others = told.filter((each) => each !== expected && each !== JSON.stringify(onRecordInFlight));
    assert.deepEqual(others, []);
  }

  for (const [index, way] of ways.entries()) {
    const { name, cutOff } = way;
    it(`${name}, gets nothing that it asks for after the call has returned`, async () => {
      const node = await subject(`node-${index}`);
      await using clients = new Clients(clientCount, node.unwrap);
      await clients.allThrough();
      const momentMs = await momentOfReturn(() => cutOff(server.now.admin, node));
      const endings = await clients.after(momentMs, refusals);
      assert.deepEqual([endings.through, endings.unreachable], [0, 0]);
      await checkRecords(node, way);
      node.end();
    });

    it(`${name}, gets nothing either from a server that was killed at that moment and started again`, async () => {
      const node = await subject(`node-killed-${index}`);
      await using clients = new Clients(clientCount, node.unwrap);
      await clients.allThrough();
      const momentMs = await momentOfReturn(() => cutOff(server.now.admin, node));
      await server.killAndStart();
      const startedMs = performance.now();
      assert.ok((await clients.after(startedMs, refusals)).refused >= refusals);
      assert.equal((await clients.after(momentMs, refusals)).through, 0);
      await checkRecords(node, way);
      node.end();
    });
  }
});
