import { randomBytes } from "node:crypto";
import type { Enrolment } from "../../../src/client/enroll.ts";
import type { RunningServer } from "../running-server.ts";
import { type Answered, AnsweredCaller, jsonOf, NoAnswer, Refusal } from "./answered-calls.ts";
import type { ExpectedState } from "./expected-state.ts";

/** A node that is enrolled, and a data key that it can unwrap. */
export interface LoadedNode {
  readonly name: string;
  readonly enrolment: Enrolment;
  readonly wrapped: Buffer;
}

/** What one round of load works with. */
export interface Load {
  readonly server: RunningServer;
  readonly answered: Answered[];
  readonly expected: ExpectedState;
  /** Holds the nodes' data keys; it is never disabled. */
  readonly key: string;
  /** True once nothing further should be asked. */
  readonly over: () => boolean;
}

/** Enrols a node and wraps a data key for it. */
export async function loadNode(load: Load, name: string): Promise<LoadedNode> {
  const enrolment = await load.server.enrol(name, load.key);
  using caller = callerOf(load, enrolment);
  const answer = await caller.ask("generateDataKey", { key: load.key, context: { node: name } });
  load.expected.acknowledge(`node ${name}`, "enabled");
  return { name, enrolment, wrapped: Buffer.from(jsonOf<{ wrapped: string }>(answer).wrapped, "base64") };
}

export function callerOf(
  { server, answered }: Load,
  { caPem, certificatePem, privateKeyPem }: Enrolment,
): AnsweredCaller {
  return AnsweredCaller.overTls(server.url, caPem, { certificatePem, privateKeyPem }, answered);
}

/** A node's work: data keys made, wrapped and unwrapped, a refusal now and then, until the server dies. */
export function useKeys(load: Load, node: LoadedNode): Promise<void> {
  return untilNoAnswer(async () => {
    using caller = callerOf(load, node.enrolment);
    const context = { node: node.name };
    while (!load.over()) {
      await caller.ask("unwrap", { wrapped: node.wrapped.toString("base64"), context });
      await caller.ask("generateDataKey", { key: load.key, context });
      await caller.ask("wrap", { key: load.key, context }, randomBytes(32));
      await refused(["ACCESS_DENIED"], () =>
        caller.ask("generateDataKey", { key: load.key, context: { node: "other" } }),
      );
    }
  });
}

/** An administrator's work on keys and aliases. */
export function changeKeys({ server, answered, expected, over }: Load): Promise<void> {
  return untilNoAnswer(async () => {
    using caller = AnsweredCaller.overSocket(server.addresses.socket, answered);
    while (!over()) {
      const alias = `alias/${randomBytes(8).toString("hex")}`;
      const { keyId: key } = jsonOf<{ keyId: string }>(await caller.ask("keys.create", { alias }));
      expected.acknowledge(`key ${key}`, "enabled");
      expected.acknowledge(`alias ${alias}`, key);
      await expected.change(`key ${key}`, "disabled", () => caller.ask("keys.disable", { key }));
      await expected.change(`alias ${alias}`, "absent", () => caller.ask("aliases.delete", { alias }));
      await expected.change(`key ${key}`, "enabled", () => caller.ask("keys.enable", { key }));
      const deletion = { key, pendingDays: 7 };
      await expected.change(`key ${key}`, "pending-deletion", () => caller.ask("keys.scheduleDeletion", deletion));
    }
  });
}

/** An administrator's work on grants. */
export function changeGrants({ server, answered, expected, key, over }: Load, grantee: string): Promise<void> {
  return untilNoAnswer(async () => {
    using caller = AnsweredCaller.overSocket(server.addresses.socket, answered);
    while (!over()) {
      const answer = await caller.ask("grants.create", { key, grantee, operations: ["Decrypt"] });
      const { id: grantId } = jsonOf<{ id: string }>(answer);
      expected.acknowledge(`grant ${grantId}`, "present");
      await expected.change(`grant ${grantId}`, "absent", () => caller.ask("grants.revoke", { key, grantId }));
    }
  });
}

/** A node that is revoked while it unwraps; after the answer to that, it must not unwrap again. */
export async function revokeWhileUnwrapping(load: Load, node: LoadedNode, afterMs: number): Promise<void> {
  let underWay = false;
  let revoked = false;
  const unwrapping = untilNoAnswer(async () => {
    using caller = callerOf(load, node.enrolment);
    while (!load.over()) {
      const startedAfterRevocation = revoked;
      try {
        await caller.ask("unwrap", { wrapped: node.wrapped.toString("base64"), context: { node: node.name } });
      } catch (error) {
        if (error instanceof Refusal && !revoked && !underWay) throw new Error(`${node.name} was refused too early`);
        if (error instanceof Refusal) return;
        throw error;
      }
      if (startedAfterRevocation) throw new Error(`${node.name} unwrapped after it was revoked`);
    }
  });
  const revoking = untilNoAnswer(async () => {
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    using caller = AnsweredCaller.overSocket(load.server.addresses.socket, load.answered);
    underWay = true;
    await load.expected.change(`node ${node.name}`, "revoked", () => caller.ask("nodes.revoke", { name: node.name }));
    revoked = true;
  });
  await Promise.all([unwrapping, revoking]);
}

async function untilNoAnswer(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
  }
}

/** A call that must be refused with one of these codes. */
export async function refused(codes: readonly string[], call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (error instanceof Refusal && codes.includes(error.code)) return;
    throw error;
  }
  throw new Error(`a call that must be refused with ${codes.join(" or ")} was answered`);
}
