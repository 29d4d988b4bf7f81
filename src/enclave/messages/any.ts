import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import { EnclaveError } from "../errors.ts";
import { decodeStrict, encode } from "./strict.ts";

/** What stands before a type's name: Go's spelling, which is written, and that of upstream's C++ code. */
const prefixes = ["type.googleapis.com/", "github.com/fpc/"] as const;

/** A message inside an `Any`: a signature over it is one over `value`, which nobody has to encode again. */
export function packAny<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Any {
  return create(AnySchema, { typeUrl: `${prefixes[0]}${schema.typeName}`, value: encode(schema, message) });
}

/**
 * @param name - The field that holds it, as `Message.field`, for the error.
 * @throws EnclaveError MALFORMED: absent, of another type, of an unknown prefix, or not canonical within
 */
export function unpackAny<Desc extends DescMessage>(
  schema: Desc,
  any: Any | undefined,
  name: string,
  required: readonly string[] = [],
): MessageShape<Desc> {
  if (any === undefined) throw new EnclaveError("MALFORMED", `${name} is missing or empty`);
  if (!prefixes.some((prefix) => any.typeUrl === `${prefix}${schema.typeName}`))
    throw new EnclaveError("MALFORMED", `${name} is not of type ${schema.typeName}`);
  return decodeStrict(schema, any.value, required);
}
