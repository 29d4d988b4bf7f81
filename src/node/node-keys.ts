import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { GeneratedKey } from "./key-formats/format.ts";
import { readPasswords } from "./key-formats/password-file.ts";
import type { NodeKind } from "./manifest.ts";
import type { NewKeyPlace } from "./new-key.ts";

/** What the making of one key may use. */
export interface KeyMaking {
  /** geth's `--lightkdf`: 4 MiB in place of 256 for each unlock of an account. */
  readonly lightKdf: boolean;
  /** A key of this node that was made before. The caller disposes of it. */
  earlier(name: string): SecretBuffer;
}

/** One key that a new node of some kind is given. */
export interface PlannedKey extends Omit<NewKeyPlace, "path"> {
  readonly format: string;
  /** In the node's folder; of an account it is made of the file's own name. */
  path(key: { readonly fileName: string }): string;
  /** The caller disposes of `file`. */
  make(making: KeyMaking): Promise<GeneratedKey>;
}

const nodekey: PlannedKey = {
  name: "nodekey",
  format: "nodekey-hex",
  handover: "fd",
  path: () => "keys/nodekey",
  make: async () => (await import("./key-formats/nodekey-hex.ts")).generateNodekey(),
};

/** The password of the account that follows it. */
const password: PlannedKey = {
  name: "password",
  format: "password-file",
  handover: "fd",
  path: () => "keys/password",
  make: async () => (await import("./key-formats/password-file.ts")).generatePasswordFile(),
};

/** Signs blocks, and transactions of client applications. */
const account: PlannedKey = {
  name: "account",
  format: "keystore-json",
  handover: "keystore",
  path: ({ fileName }) => `keystore/${fileName}`,
  async make({ earlier, lightKdf }) {
    const { generateKeystoreAccount } = await import("./key-formats/keystore-lock.ts");
    using file = earlier(password.name);
    const passwords = readPasswords(file);
    try {
      const [first] = passwords;
      if (first === undefined) throw new RangeError("the password file holds no password");
      return await generateKeystoreAccount(first, { cost: lightKdf ? "light" : "standard" });
    } finally {
      for (const each of passwords) each[Symbol.dispose]();
    }
  },
};

/** Private transactions: Constellation's or Tessera's key pair. The file is unlocked; the sealed box is its lock. */
const enclave: PlannedKey = {
  name: "tm",
  format: "tessera-key",
  handover: "fd",
  path: () => "keys/tm.key",
  make: async () => (await import("./key-formats/tessera-lock.ts")).generateTesseraKeyPair({ name: "tm" }),
};

const besu: PlannedKey = {
  name: "nodekey",
  format: "besu-key",
  handover: "fd",
  path: () => "keys/key",
  make: async () => (await import("./key-formats/besu-key.ts")).generateBesuKey(),
};

/** EthereumJS takes the block signer's key as it is, not as a keystore. */
const bareAccount: PlannedKey = { ...nodekey, name: "account", path: () => "keys/account" };

function fisco(kind: "fisco" | "fisco-sm"): PlannedKey {
  return {
    name: "node",
    format: "pem",
    handover: "native",
    path: () => "conf/node.pem",
    make: async () => (await import("./key-formats/fisco-key.ts")).generateFiscoKey(kind, "node.pem"),
  };
}

/**
 * The keys that a new node of each kind is given, in the order in which they are made. A FISCO node's TLS keys are not among
 * them: they come with certificates of the chain's authority.
 */
export const keysOfKind: Readonly<Record<NodeKind, readonly PlannedKey[]>> = {
  geth: [nodekey, password, account],
  goquorum: [nodekey, password, account, enclave],
  besu: [besu],
  tessera: [enclave],
  ethereumjs: [nodekey, bareAccount],
  fisco: [fisco("fisco")],
  "fisco-sm": [fisco("fisco-sm")],
  generic: [],
};
