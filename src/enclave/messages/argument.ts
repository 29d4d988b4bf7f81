import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { decodeStrict, encode, maxMessageBytes } from "./strict.ts";

/** An argument or result of ERCC: the base64 text of a message. */
export function encodeArgument<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): string {
  return encode(schema, message).toString("base64");
}

/** @throws EnclaveError MALFORMED: not canonical base64 (RFC 4648 section 4, with padding), or not such a message */
export function decodeArgument<Desc extends DescMessage>(
  schema: Desc,
  text: string,
  required: readonly string[] = [],
): MessageShape<Desc> {
  return decodeStrict(schema, decodeBase64(text, schema.name), required);
}

/** @throws EnclaveError MALFORMED */
export function decodeBase64(text: string, name: string): Buffer {
  if (text === "") throw new EnclaveError("MALFORMED", `${name} is empty`);
  if (text.length > Math.ceil(maxMessageBytes / 3) * 4) throw new EnclaveError("MALFORMED", `${name} is too long`);
  const bytes = Buffer.from(text, "base64");
  // Node forgives white space, missing padding, the URL alphabet and stray bits; only one text gives these bytes.
  if (bytes.toString("base64") !== text) throw new EnclaveError("MALFORMED", `${name} is not canonical base64`);
  return bytes;
}
