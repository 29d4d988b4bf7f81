import { existsSync, lstatSync, readFileSync } from "node:fs";
import type { Context } from "../../crypto/context.ts";
import { writeDurably } from "../../files/durable-file.ts";
import { DatabaseError } from "../errors.ts";
import { parsePublicKey } from "../gm/public-key.ts";
import { instancePaths } from "../instance/instance-folder.ts";

/** A master key whose private half only the key manager gives out. */
export interface WrappedMasterKey {
  /** `04 ‖ X ‖ Y`. */
  readonly publicKey: Buffer;
  /** The private scalar as a data key of the key manager, wrapped. */
  readonly wrapped: Buffer;
  /** What the wrap is bound to. */
  readonly context: Context;
}

const format = "strongroom-database-master/1";
const maxFileBytes = 64 * 1024;
const maxKeys = 2;

/**
 * The master keys of an instance, the one in force first; a second one only while the master key is being changed. Nothing
 * proves them but that the key manager opens them and the public key fits.
 *
 *     {"format": "strongroom-database-master/1", "keys": [{"publicKey": hex, "wrapped": base64, "context": {name: value}}]}
 *
 * @throws {DatabaseError} `INSTANCE_DAMAGED`.
 */
export function readMasterRecord(dataFolder: string): readonly WrappedMasterKey[] {
  const { masterRecordFile: file } = instancePaths(dataFolder);
  if (!existsSync(file)) return [];
  const found = lstatSync(file);
  if (!found.isFile() || found.size > maxFileBytes) throw damaged(file);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    throw damaged(file);
  }
  if (!isRecord(value) || value.format !== format || !Array.isArray(value.keys)) throw damaged(file);
  if (value.keys.length === 0 || value.keys.length > maxKeys) throw damaged(file);
  return value.keys.map((key) => wrappedKeyOf(key, file));
}

/** Durably, and whole. */
export function writeMasterRecord(dataFolder: string, keys: readonly WrappedMasterKey[]): void {
  const written = keys.map(({ publicKey, wrapped, context }) => ({
    publicKey: publicKey.toString("hex"),
    wrapped: wrapped.toString("base64"),
    context,
  }));
  writeDurably(
    instancePaths(dataFolder).masterRecordFile,
    Buffer.from(`${JSON.stringify({ format, keys: written }, undefined, 2)}\n`),
  );
}

function wrappedKeyOf(value: unknown, file: string): WrappedMasterKey {
  if (!isRecord(value)) throw damaged(file);
  const { publicKey, wrapped, context, ...others } = value;
  if (Object.keys(others).length > 0 || typeof publicKey !== "string" || typeof wrapped !== "string")
    throw damaged(file);
  const bytes = Buffer.from(wrapped, "base64");
  if (bytes.toString("base64") !== wrapped || bytes.length === 0 || !isContext(context)) throw damaged(file);
  try {
    return { publicKey: parsePublicKey(publicKey, "publicKey"), wrapped: bytes, context };
  } catch {
    throw damaged(file);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isContext(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((each) => typeof each === "string");
}

function damaged(file: string): DatabaseError {
  return new DatabaseError("INSTANCE_DAMAGED", `${file} is not what was written there`, {
    hint: "restore it from a backup of the instance: without it, its encrypted databases cannot be read",
  });
}
