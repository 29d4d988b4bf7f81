import { FsError } from "../fs-error.ts";
import { systemCall } from "./calls.ts";

const descriptorLimit = 7; // RLIMIT_NOFILE
const limits = Buffer.alloc(16);
/** fs.nr_open of Linux unless it was changed: root may go as far. */
const mostWanted = 1_048_576;

/** How many descriptors this process may have open. @throws {FsError} */
export function descriptorsAllowed(): number {
  systemCall("getrlimit", descriptorLimit, limits);
  const soft = limits.readBigUInt64LE(0);
  return soft > BigInt(mostWanted) ? mostWanted : Number(soft);
}

/** Raises the limit as far as this process may: root beyond the hard limit. @returns {@link descriptorsAllowed} afterwards. */
export function raiseDescriptorLimit(): number {
  systemCall("getrlimit", descriptorLimit, limits);
  const hard = limits.readBigUInt64LE(8);
  if (!tryLimit(BigInt(mostWanted)) && hard <= BigInt(mostWanted)) tryLimit(hard);
  return descriptorsAllowed();
}

function tryLimit(limit: bigint): boolean {
  limits.writeBigUInt64LE(limit, 0);
  limits.writeBigUInt64LE(limit, 8);
  try {
    systemCall("setrlimit", descriptorLimit, limits);
    return true;
  } catch (error) {
    if (error instanceof FsError) return false;
    throw error;
  }
}
