import { writeNewFile } from "../../node/file-steps.ts";
import { identityMeanings } from "../../node/identity.ts";
import type { IdentityKind } from "../../node/manifest.ts";
import { type ConnectionOptions, withClient } from "../connection.ts";
import { type OutputOptions, printData, tell } from "../output.ts";

interface TokenOptions extends ConnectionOptions {
  readonly key?: string;
  readonly identityKind: IdentityKind;
  readonly out?: string;
}

/** Prints the token alone on standard output, so that it can be redirected; what is said about it goes to standard error. */
export async function runToken(name: string, options: TokenOptions): Promise<void> {
  const { key, identityKind: identity, out } = options;
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

export async function runRevoke(name: string, options: ConnectionOptions & OutputOptions): Promise<void> {
  await withClient(options, async (client) => {
    const revoked = await client.nodes.revoke(name);
    printData(options, revoked, () => `${name} is revoked: no request of it that starts from now on succeeds`);
  });
}
