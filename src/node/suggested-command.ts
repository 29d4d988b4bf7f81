import type { NodeKind } from "./manifest.ts";

export interface SuggestionFacts {
  /** `{data}` when the node has a volume. */
  readonly dataFolder: string;
  /** Address of the account to unlock. */
  readonly account?: string | undefined;
  /** How the command names a key: `{key:nodekey}`, or the plain file of a node without protection. */
  readonly key?: (name: string) => string;
  readonly keystore?: string;
}

/**
 * A command by which a node of this kind takes the keys that `node create` makes; undefined for kinds that have none. What
 * else it needs (genesis, ports, peers) is the operator's to add.
 */
export function suggestedCommand(kind: NodeKind, facts: SuggestionFacts): readonly string[] | undefined {
  const { dataFolder, key = inManifest, keystore = "{keystore}" } = facts;
  const geth = ["geth", "--datadir", dataFolder, "--nodekey", key("nodekey"), "--keystore", keystore];
  switch (kind) {
    case "geth":
      return geth;
    case "goquorum":
      return [...geth, ...unlocking(facts)];
    case "besu":
      return ["besu", "--data-path", dataFolder, "--node-private-key-file", key("nodekey")];
    case "tessera":
      return [
        ...["tessera", "-configfile", "{dir}/tessera.json"],
        ...["-o", `keys.keyData[0].privateKeyPath=${key("tm")}`],
        ...["-o", "keys.keyData[0].publicKeyPath={dir}/tm.pub"],
      ];
    case "ethereumjs":
      return ["node", "{dir}/node.mjs", dataFolder, key("nodekey"), key("account")];
    case "fisco":
    case "fisco-sm":
      return ["{dir}/fisco-bcos", "-c", "config.ini", "-g", "config.genesis"];
    case "generic":
      return undefined;
  }
}

/** The command as a manifest's lines: `argv = …`, and what else some versions of the program take; none without one. */
export function suggestionLines(kind: NodeKind, facts: SuggestionFacts): readonly string[] {
  const argv = suggestedCommand(kind, facts);
  if (argv === undefined) return [];
  const whole = `argv = ${JSON.stringify(argv)}`;
  if (kind !== "geth") return [whole];
  // geth 1.15 took --unlock out: an account is then used by its external signer, or by nobody.
  return [whole, `for geth before 1.15, which unlocks accounts itself, add: ${JSON.stringify(unlocking(facts))}`];
}

function unlocking({ account = "ADDRESS", key = inManifest }: SuggestionFacts): readonly string[] {
  return ["--unlock", account, "--password", key("password")];
}

function inManifest(name: string): string {
  return `{key:${name}}`;
}
