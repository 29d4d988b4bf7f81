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
export function suggestedCommand(
  kind: NodeKind,
  { dataFolder, account = "ADDRESS", key = (name) => `{key:${name}}`, keystore = "{keystore}" }: SuggestionFacts,
): readonly string[] | undefined {
  const unlocked = ["--keystore", keystore, "--unlock", account, "--password", key("password")];
  switch (kind) {
    case "geth":
    case "goquorum":
      return ["geth", "--datadir", dataFolder, "--nodekey", key("nodekey"), ...unlocked];
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
