import { handovers, identityKinds, manifestVolumeKinds, nodeKinds, protections, restartPolicies } from "./manifest.ts";

/** What a field's value must be. Numbers are whole and inclusive; texts are bounded and hold no control characters. */
export type FieldRule =
  | { readonly type: "text"; readonly pattern?: RegExp; readonly says?: string }
  | { readonly type: "choice"; readonly of: readonly string[] }
  | { readonly type: "number"; readonly from: number; readonly to: number }
  | { readonly type: "flag" }
  | {
      readonly type: "texts";
      readonly from: number;
      readonly to: number;
      readonly pattern?: RegExp;
      readonly says?: string;
    }
  | { readonly type: "map" };

export interface Field {
  readonly rule: FieldRule;
  readonly meaning: string;
  readonly required?: true;
  readonly default?: string | number | boolean;
}

export type Fields = Readonly<Record<string, Field>>;

const name = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const integrationName = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const path = { type: "text" } as const;

/**
 * Every table and field of a node manifest: the reader validates by it, `node init` writes its comments from it, and
 * docs/nodes.md is kept equal to it by a test.
 */
export const manifestFields = {
  node: {
    name: {
      rule: { type: "text", pattern: name, says: "letters, digits, dot, dash, underscore; at most 63" },
      meaning: "the node's name at the key manager",
      required: true,
    },
    kind: { rule: { type: "choice", of: nodeKinds }, meaning: "what program the node is", required: true },
    network: {
      rule: { type: "text", pattern: name, says: "letters, digits, dot, dash, underscore; at most 63" },
      meaning: "the chain that the node belongs to; bound into everything sealed",
      required: true,
    },
    protection: {
      rule: { type: "choice", of: protections },
      meaning: "key-manager: keys are sealed; none: there is no key manager, and keys are plain files",
      default: "key-manager",
    },
    uid: {
      rule: { type: "number", from: 0, to: 0xfffffffe },
      meaning: "user id that the node belongs to; a launch by another user is refused",
    },
    address: {
      rule: { type: "text", pattern: /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/, says: "HOST:PORT" },
      meaning: "HOST:PORT under which peers reach the node, for its enode",
    },
  },
  key_manager: {
    servers: {
      rule: {
        type: "texts",
        from: 1,
        to: 16,
        pattern: /^https:\/\/(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?$/,
        says: "https://HOST:PORT",
      },
      meaning: "the key manager's servers, in order of preference",
      required: true,
    },
    ca: {
      rule: path,
      meaning: "file with the certificate that the servers chain to; by default ca.pem in the identity folder",
    },
    master_key: {
      rule: { type: "text", pattern: /^[A-Za-z0-9/_:.-]{1,512}$/, says: "an id, alias/NAME or ARN" },
      meaning: "id, alias/NAME or ARN of the master key over this node's data key",
      required: true,
    },
  },
  kms: {
    integration: {
      rule: { type: "text", pattern: integrationName, says: "letters, digits or ._@-; at most 64" },
      meaning:
        "in place of [key_manager] and [identity]: the integration with a KMS that this node's data key is under",
      required: true,
    },
    store: { rule: path, meaning: "folder of the integrations on this host", required: true },
    unlock_file: {
      rule: path,
      meaning: "file that opens the store (0600); by default the systemd credential strongroom-unlock",
    },
    master_key: {
      rule: { type: "text", pattern: /^[A-Za-z0-9/_:.-]{1,512}$/, says: "an id, alias/NAME or ARN" },
      meaning: "id, alias/NAME or ARN of another master key than the integration's own",
    },
  },
  identity: {
    kind: {
      rule: { type: "choice", of: identityKinds },
      meaning: "file: the client key is on this disk; tmpfs: in memory only, enrolled again at each boot",
      required: true,
    },
    folder: {
      rule: path,
      meaning: "folder of key.pem, certificate.pem and ca.pem; for tmpfs it must be on one",
      required: true,
    },
  },
  data_key: {
    suite: { rule: { type: "choice", of: ["intl", "sm"] }, meaning: "ciphers of the sealed files", default: "intl" },
    wrapped: { rule: path, meaning: "file with the wrapped data key", default: "data-key.box" },
    id: {
      rule: { type: "text", pattern: uuid, says: "a UUID" },
      meaning: "the data key's id, written when it is made",
    },
    version: { rule: { type: "number", from: 1, to: 0xffffffff }, meaning: "the data key's version" },
    check: {
      rule: { type: "text", pattern: /^[0-9a-f]{32}$/, says: "32 hex characters" },
      meaning: "key-check value: launch compares it before anything is opened",
    },
  },
  volume: {
    kind: {
      rule: { type: "choice", of: manifestVolumeKinds },
      meaning: "how the data folder is encrypted",
      required: true,
    },
    folder: { rule: path, meaning: "the volume's folder", default: "volume" },
    parameters: { rule: { type: "map" }, meaning: "the kind's own parameters (docs/volumes.md)" },
  },
  command: {
    argv: {
      rule: { type: "texts", from: 1, to: 256 },
      meaning: "program and arguments; {key:NAME} {fd:NAME} {keystore} {data} {logs} {dir} are filled in",
      required: true,
    },
    folder: { rule: path, meaning: "working directory", default: "." },
    log: { rule: path, meaning: "file for the program's output, for example {logs}/node.log; by default ours" },
    wipe_settle_seconds: {
      rule: { type: "number", from: 0, to: 3600 },
      meaning: "handed-over keys are wiped this long after the program has first read them",
      default: 5,
    },
    wipe_after_seconds: {
      rule: { type: "number", from: 1, to: 3600 },
      meaning: "handed-over keys are wiped this long after the start, read or not",
      default: 60,
    },
    stop_seconds: {
      rule: { type: "number", from: 1, to: 3600 },
      meaning: "how long the program may take to end when it is stopped, before it is killed",
      default: 30,
    },
    environment: { rule: { type: "map" }, meaning: "environment variables; never secrets" },
  },
  restart: {
    policy: { rule: { type: "choice", of: restartPolicies }, meaning: "when the program ends", default: "never" },
    backoff_seconds: {
      rule: { type: "number", from: 1, to: 3600 },
      meaning: "longest pause before the first restart; doubles; half of each pause is random",
      default: 1,
    },
    max_backoff_seconds: { rule: { type: "number", from: 1, to: 3600 }, meaning: "the longest pause", default: 60 },
    after_refusal: {
      rule: { type: "flag" },
      meaning: "ask again, after the same pauses, when the key manager refuses; false: end with exit code 3",
      default: false,
    },
  },
  lease: {
    seconds: {
      rule: { type: "number", from: 0, to: 86_400 },
      meaning: "ask the key manager again this often and stop the node when it refuses; 0: never",
      default: 0,
    },
    grace_seconds: {
      rule: { type: "number", from: 0, to: 86_400 },
      meaning: "how long an unreachable key manager is waited for before the node is stopped",
      default: 60,
    },
  },
  sidecar: {
    port: {
      rule: { type: "number", from: 0, to: 65_535 },
      meaning: "loopback port of the FISCO sidecar; 0: none",
      default: 0,
    },
    window_seconds: {
      rule: { type: "number", from: 1, to: 3600 },
      meaning: "how long it answers after the start",
      default: 120,
    },
    answers: {
      rule: { type: "number", from: 1, to: 1000 },
      meaning: "how many times it answers in that time",
      default: 16,
    },
    uid: {
      rule: { type: "number", from: 0, to: 0xfffffffe },
      meaning: "user id that the node runs as; by default ours",
    },
  },
} as const satisfies Readonly<Record<string, Fields>>;

/** Fields of each `[[sealed_file]]`. */
export const sealedFileFields = {
  name: {
    rule: { type: "text", pattern: name, says: "letters, digits, dot, dash, underscore; at most 63" },
    meaning: "the name in {key:NAME}",
    required: true,
  },
  path: { rule: path, meaning: "where the plain file was", required: true },
  sealed: { rule: path, meaning: "the sealed file", required: true },
  format: {
    rule: { type: "text", pattern: name, says: "a key format" },
    meaning: "the key file's format",
    required: true,
  },
  handover: {
    rule: { type: "choice", of: handovers },
    meaning: "how the program gets it: fd, fifo, tmpfs-file, keystore, or native (it opens the file itself)",
    default: "fd",
  },
  public_identity: {
    rule: {
      type: "text",
      pattern: /^([0-9a-f]{128}|0x[0-9a-f]{40}|sha256:[0-9a-f]{64}|none)$/,
      says: "a node id, an address, sha256:HEX or none",
    },
    meaning: "the key's node id, else its address, else a fingerprint; launch compares it",
    required: true,
  },
  version: {
    rule: { type: "number", from: 1, to: 0xffffffff },
    meaning: "raised when the key is replaced; a sealed file of another version is refused",
    default: 1,
  },
  reads: { rule: { type: "number", from: 1, to: 64 }, meaning: "how often the program reads a fifo", default: 1 },
  link: { rule: { type: "flag" }, meaning: "put a symbolic link at path while the node runs", default: false },
} as const satisfies Fields;
