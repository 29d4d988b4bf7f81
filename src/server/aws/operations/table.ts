import type { AwsOperation } from "../operation.ts";

const built: ReadonlyMap<string, AwsOperation> = new Map();

/** Operations that AWS KMS has and that are not here: they are about custom key stores, other regions and key agreement. */
export const unsupportedOperations: ReadonlySet<string> = new Set([
  "ConnectCustomKeyStore",
  "CreateCustomKeyStore",
  "Decapsulate",
  "DeleteCustomKeyStore",
  "DeriveSharedSecret",
  "DescribeCustomKeyStores",
  "DisconnectCustomKeyStore",
  "Encapsulate",
  "GetKeyLastUsage",
  "ReplicateKey",
  "UpdateCustomKeyStore",
  "UpdatePrimaryRegion",
]);

/** The operation of this name; undefined when it is unknown or one of {@link unsupportedOperations}. */
export function awsOperation(name: string): AwsOperation | undefined {
  return built.get(name);
}
