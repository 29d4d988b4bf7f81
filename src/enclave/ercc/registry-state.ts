/** Names a record of ERCC: Fabric's composite key of an object type and attributes. */
export interface RecordName {
  readonly type: RecordType;
  readonly attributes: readonly string[];
}

/**
 * Object types of ERCC's records, and the attributes of each. The first four are upstream's. The key of a chaincode is its PEM;
 * every other value is the base64 text of a message, as upstream has it.
 */
export const recordTypes = {
  /** [chaincode]: PEM of the active generation's EK. */
  chaincodeEk: "namespaces/chaincode_ek",
  /** [chaincode, enclave id]: fpc.Credentials. */
  credentials: "namespaces/credentials",
  /** [chaincode, enclave id]: SignedCCKeyRegistrationMessage of the newest generation that was active while it held it. */
  provisioned: "namespaces/provisioned",
  /** [chaincode, receiver's id, sender's id]: ExportAnnouncement, which is there before the sender lets the keys go. */
  announced: "namespaces/announced",
  /** [chaincode, receiver's id]: SignedExportMessage. */
  exported: "namespaces/exported",
  /** [chaincode, receiver's id]: ExportEntry of what lies in `exported`. */
  exportEntry: "namespaces/export_entries",
  /** [chaincode]: ChaincodeKeyState; from the first registration of keys on. */
  keyState: "namespaces/key_state",
  /** [chaincode, number]: GenerationRecord; [chaincode, number, SHA-256 of the EK's PEM]: each one that was abandoned. */
  generation: "namespaces/generations",
  /** [chaincode, number, enclave id]: SignedCCKeyRegistrationMessage of a generation while it was proposed. */
  confirmed: "namespaces/confirmed",
  /** [chaincode, enclave id]: RevocationRecord. */
  revoked: "namespaces/revoked",
  /** [chaincode, number], [chaincode, number, issue] from the second on: SignedRecoveryMessage, written once. */
  recovery: "namespaces/recovery",
  /** [chaincode, receiver's id, organisation], with the issue from the second on: SignedReleasedShareMessage. */
  released: "namespaces/released",
  /** [chaincode]: SignedPolicy in force; [chaincode, number]: each one that ever was. */
  policy: "namespaces/policy",
  /** []: EvidenceFloor of the channel. */
  floor: "namespaces/floor",
} as const;

export type RecordType = (typeof recordTypes)[keyof typeof recordTypes];

/** Fabric's composite key: U+0000, then each part followed by U+0000. */
export function compositeKey({ type, attributes }: RecordName): string {
  return `\u0000${[type, ...attributes].map((part) => `${part}\u0000`).join("")}`;
}

/** What ERCC reads of the committed definition of a chaincode (`_lifecycle`, QueryChaincodeDefinition). */
export interface ChaincodeDefinition {
  /** Of a private chaincode: the measurement of its enclaves. */
  readonly version: string;
  readonly sequence: bigint;
  /** protos.ApplicationPolicy: who endorses. */
  readonly validationParameter: Uint8Array;
}

/** Who proposed the transaction. */
export interface Creator {
  readonly mspId: string;
  /** By the role in the certificate's OU (NodeOU `admin`). */
  readonly isAdmin: boolean;
}

/**
 * Everything that the registry may know and do within one transaction. What it does not give, chaincode must not use: with the
 * same state and proposal every peer comes to the same result.
 */
export interface RegistryState {
  readonly channelId: string;
  readonly txId: string;
  /** The proposal's timestamp, which its creator picked: milliseconds since 1970. */
  readonly timestampMs: number;
  readonly creator: Creator;
  /** Undefined where there is none, as opposed to an empty one. */
  get(name: RecordName): Promise<Uint8Array | undefined>;
  put(name: RecordName, value: Uint8Array): Promise<void>;
  delete(name: RecordName): Promise<void>;
  /** Records of a type whose first attributes are these, in key order; read into the transaction's read set. */
  scan(
    type: RecordType,
    attributes: readonly string[],
  ): AsyncIterable<{ readonly attributes: readonly string[]; readonly value: Uint8Array }>;
  /** Undefined where the channel has no such chaincode. */
  definition(chaincodeId: string): Promise<ChaincodeDefinition | undefined>;
  /** SHA-256 of the channel's genesis block, as ERCC was set up with it: 32 bytes. */
  channelHash(): Promise<Uint8Array>;
}
