import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { LeaseDescription } from "../../client/protocol.ts";
import { writeNewFile } from "../../node/file-steps.ts";
import { identityMeanings } from "../../node/identity.ts";
import type { IdentityKind } from "../../node/manifest.ts";
import { type ConnectionOptions, withClient } from "../connection.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";

interface TokenOptions extends ConnectionOptions {
  readonly key?: string;
  readonly identityKind: IdentityKind;
  readonly out?: string;
}

/** Prints the token alone on standard output, so that it can be redirected; what is said about it goes to standard error. */
export async function runToken(name: string, options: TokenOptions): Promise<void> {
  const { key, identityKind: identity, out } = options;
  if (out !== undefined) mustBeWritable(out);
  await withClient(options, async (client) => {
    const { token, expiresAt } = await client.nodes.createToken({
      name,
      identity,
      ...(key === undefined ? {} : { key }),
    });
    using secret = token;
    secret.expose((bytes) => {
      const line = Buffer.concat([bytes, Buffer.from("\n")]);
      if (out === undefined)
        process.stdout.write(line, () => line.fill(0)); // exposes-secret: the token is what was asked for
      else {
        writeNewFile(out, line);
        line.fill(0);
      }
    });
    tell(`one use, until ${expiresAt}; identity ${identity}: ${identityMeanings[identity]}`);
  });
}

/** Before the token is made: one that is lost is a node's first, and the next takes an administrator. */
function mustBeWritable(out: string): void {
  if (!existsSync(dirname(out)))
    throw new CommandFailure(
      exitCodes.other,
      `there is no folder ${dirname(out)} for the token`,
      `mkdir ${dirname(out)}`,
    );
  if (existsSync(out)) throw new CommandFailure(exitCodes.other, `${out} exists already`, "name another file: --out");
}

export async function runRevoke(name: string, options: ConnectionOptions & OutputOptions): Promise<void> {
  await withClient(options, async (client) => {
    const revoked = await client.nodes.revoke(name);
    printData(options, revoked, () => `${name} is revoked: no request of it that starts from now on succeeds`);
  });
}

/** Nodes with what holds each to the key manager's word. */
export async function runList(options: ConnectionOptions & OutputOptions): Promise<void> {
  await withClient(options, async (client) => {
    const nodes = await client.nodes.list();
    const { leases, since } = await client.nodes.leases();
    const leaseOf = new Map(leases.map(({ node, lease }) => [node, lease]));
    const listed = nodes.map(({ name, state, identity, createdAt }) => ({
      ...{ name, state, identity, createdAt },
      lease: leaseOf.get(name) ?? null,
    }));
    printData(options, { nodes: listed, leasesSince: since }, () =>
      table(
        ["NAME", "STATE", "IDENTITY", "LEASE"],
        listed.map(({ name, state, identity, lease }) => [name, state, identity ?? "", leaseText(lease, since)]),
      ),
    );
  });
}

function leaseText(lease: LeaseDescription | null, since: string | null): string {
  if (lease === null) return since === null ? "no key released" : `no key released since ${since}`;
  const { state, seconds, checkedAt, checkedSecondsAgo, alsoWithoutLeaseAt, launchesHeld } = lease;
  const meanings = {
    held: `held, checked every ${seconds} s, last ${checkedSecondsAgo} s ago`,
    lapsed: `lapsed: checked every ${seconds} s, but not since ${checkedAt}`,
    refused: `refused ${checkedAt}: its launcher stops the node`,
    released: `released: its launcher has stopped the node; last check ${checkedAt}`,
    none: "none: a running node keeps its keys until it stops",
  };
  return [
    meanings[state],
    ...(alsoWithoutLeaseAt === null ? [] : [`a key was also released without a lease ${alsoWithoutLeaseAt}`]),
    ...(launchesHeld > 1 ? [`${launchesHeld} launches hold one`] : []),
  ].join("; ");
}
