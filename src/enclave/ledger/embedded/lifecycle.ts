import { create, toBinary } from "@bufbuild/protobuf";
import type { ChaincodeDefinition } from "../../ercc/registry-state.ts";
import { EnclaveError } from "../../errors.ts";
import {
  type ApproveChaincodeDefinitionForMyOrgArgs,
  ApproveChaincodeDefinitionForMyOrgArgsSchema,
  CommitChaincodeDefinitionArgsSchema,
} from "../../messages/generated/fabric/lifecycle_pb.ts";
import {
  QueryChaincodeDefinitionArgsSchema,
  QueryChaincodeDefinitionResultSchema,
} from "../../messages/generated/fabric/peer_pb.ts";
import { builtinPlugins, definitionRecords, lifecycleName } from "../definitions.ts";
import { readMessage } from "../fabric-message.ts";
import { sha256 } from "../low-s.ts";
import { EndorsementPolicy } from "../signature-policy.ts";
import type { Chaincode, ChaincodeStub } from "./chaincode.ts";

const namePattern = /^[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*$/;
const versionPattern = /^[A-Za-z0-9_.+-]{1,128}$/;

type Proposed = Pick<ApproveChaincodeDefinitionForMyOrgArgs, "name" | "version" | "sequence" | "validationParameter">;

/**
 * `_lifecycle`: an admin of each organisation approves a definition, and when a majority has approved the same one at the next
 * sequence, an admin commits it. Approvals are public records here; Fabric keeps each organisation's in a private collection.
 *
 * @param mspIds - Of the channel's organisations
 */
export function lifecycleChaincode(mspIds: readonly string[]): Chaincode {
  return async (stub) => {
    const [bytes = new Uint8Array(), ...others] = stub.argBytes;
    if (others.length > 0) throw new EnclaveError("MALFORMED", `${lifecycleName} takes one argument`);
    switch (stub.transaction) {
      case "ApproveChaincodeDefinitionForMyOrg":
        return approve(stub, readMessage(ApproveChaincodeDefinitionForMyOrgArgsSchema, bytes), mspIds);
      case "CommitChaincodeDefinition":
        return commit(stub, readMessage(CommitChaincodeDefinitionArgsSchema, bytes), mspIds);
      case "QueryChaincodeDefinition":
        return queryDefinition(stub, readMessage(QueryChaincodeDefinitionArgsSchema, bytes).name);
      default:
        throw new EnclaveError("MALFORMED", `${lifecycleName} has no such transaction`);
    }
  };
}

async function approve(stub: ChaincodeStub, proposed: Proposed, mspIds: readonly string[]): Promise<string> {
  requireAdmin(stub);
  await requireNext(stub, proposed, mspIds);
  await stub.putState(approvalKey(proposed, stub.creator.mspId), fingerprint(proposed));
  return "";
}

async function commit(stub: ChaincodeStub, proposed: Proposed, mspIds: readonly string[]): Promise<string> {
  requireAdmin(stub);
  await requireNext(stub, proposed, mspIds);
  const wanted = fingerprint(proposed);
  const approved: string[] = [];
  for (const mspId of mspIds) {
    const approval = await stub.getState(approvalKey(proposed, mspId));
    if (approval !== undefined && wanted.equals(approval)) approved.push(mspId);
  }
  if (2 * approved.length <= mspIds.length)
    throw new EnclaveError(
      "POLICY_DENIED",
      `${approved.length} of ${mspIds.length} organisations have approved this definition of ${proposed.name}, which is no majority`,
    );
  for (const { key, value } of definitionRecords(proposed.name, proposed)) await stub.putState(key, value);
  return "";
}

async function queryDefinition(stub: ChaincodeStub, name: string): Promise<Uint8Array> {
  const definition = await stub.definition(name);
  if (definition === undefined) throw new EnclaveError("NOT_FOUND", `namespace ${name} is not defined`);
  const { version, sequence, validationParameter } = definition;
  return toBinary(
    QueryChaincodeDefinitionResultSchema,
    create(QueryChaincodeDefinitionResultSchema, {
      version,
      sequence,
      validationParameter,
      endorsementPlugin: builtinPlugins.endorsement,
      validationPlugin: builtinPlugins.validation,
    }),
  );
}

function requireAdmin({ creator }: ChaincodeStub): void {
  if (!creator.isAdmin) throw new EnclaveError("UNAUTHORIZED", "only an admin approves or commits a definition");
}

async function requireNext(stub: ChaincodeStub, proposed: Proposed, mspIds: readonly string[]): Promise<void> {
  const { name, version, sequence, validationParameter } = proposed;
  if (!namePattern.test(name) || !versionPattern.test(version))
    throw new EnclaveError("MALFORMED", "a chaincode's name or version has characters that it may not have");
  // Throws what is wrong with it.
  new EndorsementPolicy(validationParameter, mspIds);
  const next = ((await stub.definition(name))?.sequence ?? 0n) + 1n;
  if (sequence !== next)
    throw new EnclaveError("CONFLICT", `the next definition of ${name} has sequence ${next}, not ${sequence}`);
}

function approvalKey({ name, sequence }: Proposed, mspId: string): string {
  return `namespaces/approvals/${name}#${sequence}/${mspId}`;
}

function fingerprint({ name, version, sequence, validationParameter }: ChaincodeDefinition & { name: string }): Buffer {
  const args = create(CommitChaincodeDefinitionArgsSchema, { name, version, sequence, validationParameter });
  return sha256(toBinary(CommitChaincodeDefinitionArgsSchema, args));
}
