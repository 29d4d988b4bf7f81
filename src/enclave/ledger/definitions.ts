import { create, toBinary } from "@bufbuild/protobuf";
import type { ChaincodeDefinition } from "../ercc/registry-state.ts";
import {
  ChaincodeEndorsementInfoSchema,
  ChaincodeValidationInfoSchema,
  StateDataSchema,
  StateMetadataSchema,
} from "../messages/generated/fabric/lifecycle_pb.ts";
import { ApplicationPolicySchema, CollectionConfigPackageSchema } from "../messages/generated/fabric/peer_pb.ts";
import { readMessage } from "./fabric-message.ts";
import { readAsGo } from "./go-message.ts";

/** The system chaincode that keeps a channel's definitions of chaincodes. */
export const lifecycleName = "_lifecycle";
export const builtinPlugins = { endorsement: "escc", validation: "vscc" } as const;

const datatype = "ChaincodeDefinition";
const fields = ["Sequence", "EndorsementInfo", "ValidationInfo", "Collections"] as const;

/** Keys of a definition in the state of `_lifecycle`, as Fabric has them. */
export function definitionKeys(name: string): {
  readonly metadata: string;
  readonly sequence: string;
  readonly endorsementInfo: string;
  readonly validationInfo: string;
  readonly collections: string;
} {
  const field = (which: string) => `namespaces/fields/${name}/${which}`;
  return {
    metadata: `namespaces/metadata/${name}`,
    sequence: field("Sequence"),
    endorsementInfo: field("EndorsementInfo"),
    validationInfo: field("ValidationInfo"),
    collections: field("Collections"),
  };
}

/**
 * The committed definition of a chaincode; undefined where there is none.
 *
 * @param get - Reads a key of the state of `_lifecycle`
 * @throws EnclaveError MALFORMED
 */
export function readDefinition(
  name: string,
  get: (key: string) => Uint8Array | undefined,
): ChaincodeDefinition | undefined {
  const keys = definitionKeys(name);
  const values = [get(keys.metadata), get(keys.sequence), get(keys.endorsementInfo), get(keys.validationInfo)] as const;
  const [metadata, sequence, endorsementInfo, validationInfo] = values;
  if (metadata === undefined || sequence === undefined || endorsementInfo === undefined || validationInfo === undefined)
    return undefined;
  if (readMessage(StateMetadataSchema, metadata).datatype !== datatype) return undefined;
  return {
    version: readMessage(ChaincodeEndorsementInfoSchema, bytesIn(endorsementInfo)).version,
    sequence: sequenceIn(sequence),
    validationParameter: readMessage(ChaincodeValidationInfoSchema, bytesIn(validationInfo)).validationParameter,
  };
}

/**
 * How transactions of a chaincode are validated, by its committed definition; undefined where there is none.
 *
 * @param get - Reads a key of the state of `_lifecycle`
 * @throws EnclaveError MALFORMED
 */
export function readValidation(
  name: string,
  get: (key: string) => Uint8Array | undefined,
): { readonly plugin: string; readonly policy: Uint8Array } | undefined {
  if (readDefinition(name, get) === undefined) return undefined;
  const info = get(definitionKeys(name).validationInfo) ?? new Uint8Array();
  const { validationPlugin, validationParameter } = readMessage(ChaincodeValidationInfoSchema, bytesIn(info));
  return { plugin: validationPlugin, policy: validationParameter };
}

/**
 * The collections of private data that a committed definition describes, by their names, with the endorsement policies of those that have one of
 * their own (protos.ApplicationPolicy).
 *
 * @param get - Reads a key of the state of `_lifecycle`
 * @throws EnclaveError MALFORMED
 */
export function readCollections(
  name: string,
  get: (key: string) => Uint8Array | undefined,
): ReadonlyMap<string, Uint8Array | undefined> {
  const collections = new Map<string, Uint8Array | undefined>();
  const stored = get(definitionKeys(name).collections) ?? new Uint8Array();
  for (const { staticCollectionConfig } of readAsGo(CollectionConfigPackageSchema, bytesIn(stored)).config) {
    if (staticCollectionConfig === undefined || collections.has(staticCollectionConfig.name)) continue;
    const { name: collection, endorsementPolicy } = staticCollectionConfig;
    collections.set(collection, endorsementPolicy && toBinary(ApplicationPolicySchema, endorsementPolicy));
  }
  return collections;
}

/** What of a state committing this definition writes. */
export function definitionRecords(
  name: string,
  { version, sequence, validationParameter }: ChaincodeDefinition,
): readonly { readonly key: string; readonly value: Uint8Array }[] {
  const keys = definitionKeys(name);
  const endorsementInfo = create(ChaincodeEndorsementInfoSchema, {
    version,
    endorsementPlugin: builtinPlugins.endorsement,
  });
  const validationInfo = create(ChaincodeValidationInfoSchema, {
    validationPlugin: builtinPlugins.validation,
    validationParameter,
  });
  return [
    {
      key: keys.metadata,
      value: toBinary(StateMetadataSchema, create(StateMetadataSchema, { datatype, fields: [...fields] })),
    },
    { key: keys.sequence, value: stateData({ case: "Int64", value: sequence }) },
    {
      key: keys.endorsementInfo,
      value: stateData({ case: "Bytes", value: toBinary(ChaincodeEndorsementInfoSchema, endorsementInfo) }),
    },
    {
      key: keys.validationInfo,
      value: stateData({ case: "Bytes", value: toBinary(ChaincodeValidationInfoSchema, validationInfo) }),
    },
  ];
}

function stateData(type: { case: "Int64"; value: bigint } | { case: "Bytes"; value: Uint8Array }): Uint8Array {
  return toBinary(StateDataSchema, create(StateDataSchema, { Type: type }));
}

function bytesIn(value: Uint8Array): Uint8Array {
  const { Type } = readMessage(StateDataSchema, value);
  return Type.case === "Bytes" ? Type.value : new Uint8Array();
}

function sequenceIn(value: Uint8Array): bigint {
  const { Type } = readMessage(StateDataSchema, value);
  return Type.case === "Int64" ? Type.value : 0n;
}
