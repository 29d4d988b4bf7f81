import { FsError } from "../fs-error.ts";
import { getAttribute, listAttributes, removeAttribute, setAttribute } from "../system/extended-attributes.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/**
 * Extended attributes of the `user.` class. In the backing folder an attribute is
 *
 *     user.sealfs.‹base64url of HMAC("attribute" ‖ file id ‖ name), 16 bytes›  =  seal(file id ‖ that, u8 length of name ‖ name ‖ value)
 *
 * so that a name of any length fits and shows nothing. Other classes are not there: nothing is asked or set below for them.
 */
const userClass = "user.";
/** Asked for by the kernel itself, such as before each write: there are none. */
const emptyClasses = /^(security|trusted)\./;
const backingPrefix = "user.sealfs.";
const keyBytes = 16;
const longestNameBytes = 255;

/** @throws {FsError} ENODATA; EOPNOTSUPP for a class that is not known; EIO for one that is not authentic. */
export function getExtendedAttribute(state: TreeState, node: TreeNode, name: string): Buffer {
  if (!name.startsWith(userClass)) throw new FsError(emptyClasses.test(name) ? "ENODATA" : "EOPNOTSUPP");
  const key = backingKey(state, node, name);
  const opened = open(
    state,
    node,
    key,
    state.inodes.with(node, (place) => getAttribute(place, key)),
  );
  if (opened.name !== name) throw damaged(state, node, key);
  return opened.value;
}

/** @throws {FsError} EIO when one of them is not authentic. */
export function listExtendedAttributes(state: TreeState, node: TreeNode): string[] {
  if (!node.isFile && !node.isFolder) return [];
  return state.inodes.with(node, (place) =>
    listAttributes(place)
      .filter((key) => key.startsWith(backingPrefix))
      .map((key) => open(state, node, key, getAttribute(place, key)).name),
  );
}

/** @throws {FsError} EOPNOTSUPP for other classes, EPERM for what is neither a file nor a folder. */
export function setExtendedAttribute(
  state: TreeState,
  node: TreeNode,
  name: string,
  value: Buffer,
  flags: number,
): void {
  requireUserClass(node, name);
  const key = backingKey(state, node, name);
  const length = Buffer.from([name.length]);
  const sealed = state.keys.seal(context(node, key), Buffer.concat([length, Buffer.from(name, "latin1"), value]));
  state.inodes.with(node, (place) => setAttribute(place, key, sealed, flags));
}

/** @throws {FsError} ENODATA; as {@link setExtendedAttribute}. */
export function removeExtendedAttribute(state: TreeState, node: TreeNode, name: string): void {
  requireUserClass(node, name);
  state.inodes.with(node, (place) => removeAttribute(place, backingKey(state, node, name)));
}

function requireUserClass(node: TreeNode, name: string): void {
  if (!name.startsWith(userClass)) throw new FsError("EOPNOTSUPP", "attributes of another class than user");
  if (name.length > longestNameBytes) throw new FsError("ERANGE");
  if (name.length === userClass.length) throw new FsError("EINVAL");
  if (!node.isFile && !node.isFolder) throw new FsError("EPERM");
}

function backingKey(state: TreeState, node: TreeNode, name: string): string {
  const message = Buffer.concat([Buffer.from("attribute\0"), node.idBytes, Buffer.from(name, "latin1")]);
  return backingPrefix + state.keys.mac(message).subarray(0, keyBytes).toString("base64url");
}

function context(node: TreeNode, key: string): Buffer {
  return Buffer.concat([Buffer.from("attribute\0"), node.idBytes, Buffer.from(key, "latin1")]);
}

function open(state: TreeState, node: TreeNode, key: string, sealed: Buffer): { name: string; value: Buffer } {
  const plaintext = state.keys.open(context(node, key), sealed);
  const nameBytes = plaintext?.[0];
  if (plaintext === undefined || nameBytes === undefined) throw damaged(state, node, key);
  return { name: plaintext.toString("latin1", 1, 1 + nameBytes), value: plaintext.subarray(1 + nameBytes) };
}

function damaged(state: TreeState, node: TreeNode, key: string): FsError {
  state.report({ kind: "content-damaged", fileId: node.id, detail: `the extended attribute ${key}` });
  return new FsError("EIO", "a damaged extended attribute");
}
