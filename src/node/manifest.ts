/** What a node manifest (`node.toml`) says. Paths are as written there: relative ones start at the manifest's folder. */
export interface Manifest {
  readonly node: {
    readonly name: string;
    readonly kind: NodeKind;
    readonly network: string;
    readonly protection: Protection;
    /** User that the node belongs to; nobody else launches it. */
    readonly uid?: number;
    /** `HOST:PORT` under which peers reach the node; part of its enode. */
    readonly address?: string;
  };
  readonly keyManager: {
    /** `https://HOST:PORT`, in order of preference; none without protection. */
    readonly servers: readonly string[];
    /** PEM of the certificate that the servers chain to; by default the identity folder's `ca.pem`. */
    readonly ca?: string;
    /** Id, `alias/NAME` or ARN of the master key. */
    readonly masterKey: string;
  };
  /** A KMS in place of a key manager: `keyManager` and `identity` have nothing to say then. */
  readonly kms?: {
    readonly integration: string;
    /** Folder of the integrations on this host. */
    readonly store: string;
    /** File that opens the store; by default the systemd credential `strongroom-unlock`. */
    readonly unlockFile?: string;
    /** Another master key than the integration's own. */
    readonly masterKey?: string;
  };
  readonly identity: {
    readonly kind: IdentityKind;
    /** Folder of `key.pem`, `certificate.pem` and `ca.pem`. */
    readonly folder: string;
  };
  readonly dataKey: {
    readonly suite: "intl" | "sm";
    /** The data key, wrapped by the key manager: a sealed box. */
    readonly wrapped: string;
    /** UUID; names the data key in sealed files. */
    readonly id?: string;
    /** From 1. */
    readonly version?: number;
    /** Key-check value, 32 hex characters. */
    readonly check?: string;
  };
  readonly sealedFiles: readonly SealedFileEntry[];
  readonly volume?: {
    readonly kind: VolumeKind;
    readonly folder: string;
    readonly parameters: Readonly<Record<string, string>>;
  };
  readonly command?: {
    readonly argv: readonly string[];
    readonly folder: string;
    readonly log?: string;
    readonly wipeSettleSeconds: number;
    readonly wipeAfterSeconds: number;
    readonly stopSeconds: number;
    readonly environment: Readonly<Record<string, string>>;
  };
  readonly restart: {
    readonly policy: RestartPolicy;
    readonly backoffSeconds: number;
    readonly maxBackoffSeconds: number;
    /** Ask again, after the same pauses, when the key manager refuses. */
    readonly afterRefusal: boolean;
  };
  readonly lease: {
    /** 0: no lease. */
    readonly seconds: number;
    readonly graceSeconds: number;
  };
  readonly sidecar: {
    /** Loopback port; 0: no sidecar. */
    readonly port: number;
    readonly windowSeconds: number;
    readonly answers: number;
    /** User that the node runs as; by default the one who runs the sidecar. */
    readonly uid?: number;
  };
}

export interface SealedFileEntry {
  readonly name: string;
  /** Where the plain file was, and where `unseal --restore` puts it. */
  readonly path: string;
  readonly sealed: string;
  readonly format: string;
  readonly handover: Handover;
  readonly publicIdentity: string;
  /** From 1; each replacement of the key raises it. */
  readonly version: number;
  /** How often the program reads a `fifo`. */
  readonly reads: number;
  /** Whether a symbolic link stands at `path` while the node runs (`fifo`, `tmpfs-file`). */
  readonly link: boolean;
}

export const nodeKinds = ["fisco", "fisco-sm", "ethereumjs", "geth", "goquorum", "besu", "tessera", "generic"] as const;
export type NodeKind = (typeof nodeKinds)[number];

/** `none`: the node has no key manager, and its keys are plain files. */
export const protections = ["key-manager", "none"] as const;
export type Protection = (typeof protections)[number];

export const identityKinds = ["file", "tmpfs"] as const;
export type IdentityKind = (typeof identityKinds)[number];

/**
 * `keystore`: under its own name in a private folder in memory, with all others of this kind. `native`: the file on disk is
 * the program's own encrypted format, and the program opens it itself.
 */
export const handovers = ["fd", "fifo", "tmpfs-file", "keystore", "native"] as const;
export type Handover = (typeof handovers)[number];

export const manifestVolumeKinds = ["fscrypt", "gocryptfs", "sealfs", "level", "native"] as const;
export type VolumeKind = (typeof manifestVolumeKinds)[number];

export const restartPolicies = ["never", "on-failure", "always"] as const;
export type RestartPolicy = (typeof restartPolicies)[number];

/** The file's name in a node's folder. */
export const manifestFileName = "node.toml";

/** True for the kinds whose program opens its own files with a FISCO data key. */
export function isFisco(kind: NodeKind): kind is "fisco" | "fisco-sm" {
  return kind === "fisco" || kind === "fisco-sm";
}
